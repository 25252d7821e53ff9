"""The README is true: the files it names exist, its C compiles, its config is valid."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARIES = pathlib.Path(os.environ["SIDECAST_BINARIES"])
DOCUMENTS = ["README.md", "SECURITY.md", "shm/README.md", "engine/README.md", "exporters/README.md",
             "bench/README.md"]


def blocks(language):
    """The fenced blocks of the README in that language."""
    text = (ROOT / "README.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


class Readme(unittest.TestCase):
    def test_every_file_it_names_exists(self):
        text = (ROOT / "README.md").read_text()
        named = set(re.findall(r"`((?:shm|engine|exporters|tools|tests|bench)/[\w/.-]+\.\w+)`", text))
        self.assertGreater(len(named), 10)
        self.assertEqual([name for name in sorted(named) if not (ROOT / name).is_file()], [])

    def test_links_between_documents_lead_somewhere(self):
        for document in DOCUMENTS:
            path = ROOT / document
            for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
                self.assertTrue((path.parent / target).exists(), f"{document} links to {target}")

    def test_its_c_compiles_as_c99(self):
        self.assertEqual(len(blocks("c")), 1)
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "gateway.c"
            source.write_text(blocks("c")[0])
            command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}/shm/include", source]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_its_config_is_valid(self):
        # The others are parts of one: a destination's rules, a tenant's file, the spool.
        self.assertEqual(len(blocks("yaml")), 4)
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "sidecast.yaml"
            config.write_text(blocks("yaml")[0])
            done = subprocess.run([BINARIES / "sidecast", "validate", config], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_it_says_of_each_destination_what_it_was_tested_against(self):
        done = subprocess.run([BINARIES / "sidecast", "destinations"], capture_output=True, text=True, check=True)
        types = done.stdout.split("\n\n")[0].splitlines()[1:]
        self.assertGreater(len(types), 30)
        table = (ROOT / "README.md").read_text().split("| tested against | types |")[1].split("\n\n")[0]
        told = re.findall(r"`([\w-]+)`", table)
        self.assertEqual(sorted(told), sorted(line.split()[0] for line in types))

    def test_the_commands_it_shows_exist(self):
        shown = set(re.findall(r"^sidecast (\w+)", "\n".join(blocks("sh")), re.M))
        self.assertGreater(len(shown), 4)
        for command in sorted(shown):
            done = subprocess.run([BINARIES / "sidecast", command, "--help"], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 0, f"sidecast {command}: {done.stderr}")


if __name__ == "__main__":
    unittest.main()
