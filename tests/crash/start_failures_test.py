"""Starts that lack room or rights: what can go on goes on and says why, what cannot says one clear line."""

import os
import pathlib
import shutil
import subprocess
import unittest

import end_to_end

# $0 is the directory to mount a small file system at, $1 its size; the rest is up to the test.
IN_SMALL_FILE_SYSTEM = """
set -e
mkdir -p "$0"
mount -t tmpfs -o "size=$1" tmpfs "$0"
set +e
fill() { cat /dev/zero > "$0/fill.$1" 2>/dev/null; }
engine() { "$SIDECASTD" --config "$1" --drain; echo "engine=$?"; }
stats() { "$SIDECAST" stats --ring-dir "$0" "$@"; echo "stats=$?"; }
"""


def may_mount():
    if shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


class StartFailures(end_to_end.EndToEndTest):
    def run_small(self, size, script, **configs):
        """Runs the script in a mount namespace of its own; its lines, both streams."""
        if not may_mount():
            self.skipTest("may not mount a small file system")
        environment = {"SIDECASTD": str(end_to_end.BINARIES / "sidecastd"), "SIDECAST": str(end_to_end.BINARIES / "sidecast")}
        for name, settings in configs.items():
            destination = end_to_end.generic_json("127.0.0.1:9")
            path = self.pipeline.write_config([destination], workers=1, **settings)
            environment[name] = str(path.rename(self.pipeline.folder / f"{name}.yaml"))
        command = ["unshare", "-rm", "sh", "-c", IN_SMALL_FILE_SYSTEM + script, str(self.pipeline.ring_dir), size]
        program = self.pipeline.start(command, "small", environment)
        _, output = program.wait()
        return (program.last_words(1000) + "\n" + output).splitlines()

    def test_a_full_file_system_keeps_no_engine_from_starting_again(self):
        said = self.run_small("8m", 'engine "$SAME"; fill 1; engine "$SAME"; engine "$OTHER"; stats --check',
                              SAME={}, OTHER={"writers": {"lanes": 5}})
        self.assertEqual([line for line in said if line.startswith("engine=")], ["engine=0"] * 3, said)
        settings = [line for line in said if "settings page" in line]
        self.assertEqual(len(settings), 1, said)
        self.assertIn("No space left on device", settings[0])
        self.assertIn("stats=0", said)

    def test_no_room_for_a_ledger_is_one_line_that_says_what_to_do(self):
        said = self.run_small("1m", 'fill 1; engine "$ONE"; stats', ONE={})
        self.assertIn("engine=1", said)
        error, = (line for line in said if " error " in line)
        for word in (f"{self.pipeline.ring_dir}/.engine/ledger", "No space left on device", "0 KiB left", "--shm-size"):
            self.assertIn(word, error)
        self.assertIn("stats=1", said)

    def test_a_sparse_ledger_on_a_full_file_system_ends_nobody_by_a_signal(self):
        said = self.run_small("8m", """engine "$ONE"; ledger="$0/.engine/ledger"; size=$(stat -c %s "$ledger")
            truncate -s 4096 "$ledger"; fill 1; stats; truncate -s "$size" "$ledger"; fill 2; stats; engine "$ONE" """, ONE={})
        self.assertEqual([line for line in said if line.startswith("stats=")], ["stats=1", "stats=0"], said)
        self.assertEqual([line for line in said if line.startswith("engine=")], ["engine=0", "engine=1"], said)

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("setpriv"), "needs root to become somebody else")
    def test_a_directory_of_another_user_is_named_with_its_owner(self):
        self.let_the_engine_make_its_directory_with([])
        self.pipeline.folder.chmod(0o755)
        binary = shutil.copy(end_to_end.BINARIES / "sidecastd", self.pipeline.folder)
        somebody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary, "--config", self.pipeline.config]
        program = self.pipeline.start(somebody, "somebody")
        self.assertEqual(program.wait()[0], 1)
        error, = program.last_words().splitlines()
        for word in (str(self.pipeline.ring_dir), "root (uid 0)", "uid 65534"):
            self.assertIn(word, error)

    def let_the_engine_make_its_directory_with(self, destinations):
        self.pipeline.write_config(destinations)
        self.let_the_engine_make_its_directory()
        self.assertTrue(pathlib.Path(self.pipeline.ring_dir).is_dir())


if __name__ == "__main__":
    unittest.main()
