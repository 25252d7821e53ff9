"""A wrong config: one clear line each, exit code 2, nothing started."""

import unittest

import end_to_end

SOUND = """\
ring_dir: RINGS
memory_limit: 64MiB
destinations:
  - name: collector
    type: otlp
    endpoint: http://127.0.0.1:4318
    compression: gzip
    authorization: ${env:SIDECAST_TEST_TOKEN}
"""


class ConfigErrors(end_to_end.EndToEndTest):
    def run_engine(self, text, environment):
        self.pipeline.config.write_text(text.replace("RINGS", str(self.pipeline.ring_dir)))
        command = [end_to_end.BINARIES / "sidecastd", "--config", self.pipeline.config, "--drain"]
        program = self.pipeline.start(command, "sidecastd", environment)
        code, output = program.wait()
        said = (output + program.last_words()).splitlines()
        program.log.unlink()
        return code, said

    def assert_refused(self, wrong, right, position, *words, environment=None):
        """The sound config with `right` replaced by `wrong` is refused in one line at that place."""
        text = SOUND.replace(right, wrong)
        self.assertNotEqual(text, SOUND)
        code, said = self.run_engine(text, {"SIDECAST_TEST_TOKEN": "Bearer x", **(environment or {})})
        self.assertEqual(code, 2, said)
        self.assertEqual(len(said), 1, said)
        self.assertTrue(said[0].startswith(f"{self.pipeline.config}:{position}: "), said[0])
        for word in words:
            self.assertIn(word, said[0])
        self.assertFalse(self.pipeline.ring_dir.exists(), "nothing was started")

    def test_the_sound_config_is_taken(self):
        self.assertEqual(self.run_engine(SOUND, {"SIDECAST_TEST_TOKEN": "Bearer x"})[0], 0)

    def test_a_typo_is_named_with_what_was_meant(self):
        self.assert_refused("memory_limt: 64MiB", "memory_limit: 64MiB", "2:1", "'memory_limt'", "memory_limit")
        self.assert_refused("compresion:", "compression:", "7:5", "'compresion'", "compression")
        self.assert_refused("type: otpl", "type: otlp", "5:11", "'otpl'", "otlp")

    def test_a_wrong_type_says_what_it_should_be(self):
        self.assert_refused("memory_limit: lots", "memory_limit: 64MiB", "2:15", "'memory_limit'", "size")
        self.assert_refused("memory_limit: [1, 2]", "memory_limit: 64MiB", "2:15", "'memory_limit'", "list")

    def test_a_missing_secret_is_named_and_never_shown(self):
        self.assert_refused("${env:SIDECAST_TEST_NO_SUCH}", "${env:SIDECAST_TEST_TOKEN}", "8:20", "SIDECAST_TEST_NO_SUCH")
        self.assert_refused("${file:/nonexistent/key}", "${env:SIDECAST_TEST_TOKEN}", "8:20", "/nonexistent/key")

    def test_wrong_usage_is_the_same_exit_code(self):
        program = self.pipeline.start([end_to_end.BINARIES / "sidecastd"], "usage")
        self.assertEqual(program.wait()[0], 2)
        program = self.pipeline.start([end_to_end.BINARIES / "sidecastd", "--config", "/nonexistent.yaml"], "nowhere")
        self.assertEqual(program.wait()[0], 2)


if __name__ == "__main__":
    unittest.main()
