"""Each row of the layer table is broken once in a small tree, and must be noticed."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tools"))

import check_layers  # noqa: E402

# Enough of a tree that every include below names a file.
SOUND = {
    "shm/reader.h": "",
    "shm/writer.h": "",
    "shm/ring_file.cc": "#include <boost/interprocess/mapped_region.hpp>\n#include <sys/mman.h>\n",
    "engine/base/bytes.h": "#include <cstdint>\n",
    "engine/model/trace.h": '#include "engine/base/bytes.h"\n',
    "engine/config/config.h": '#include "exporters/exporter.h"\n',
    "engine/intake/drain.cc": '#include "shm/reader.h"\n#include "engine/config/config.h"\n',
    "exporters/exporter.h": '#include "engine/model/trace.h"\n',
    "exporters/registry.h": "#define SIDECAST_DESTINATIONS(X) X(s3) X(kafka)\n",
    "exporters/http/loop.h": "",
    "exporters/http/loop.cc": "#include <curl/curl.h>\n",
    "exporters/destinations/s3.cc": '#include "exporters/destinations/s3_sign.h"\n',
    "exporters/destinations/kafka.cc": '#include "exporters/destinations/answer.h"\n',
    "exporters/destinations/answer.h": "",  # no destination's own: shared by all
    "exporters/destinations/s3_sign.h": "",
    "tools/sidecast/main.cc": '#include <CLI/CLI.hpp>\n#include "shm/writer.h"\n',
    "tests/unit/a_test.cc": '#include <gtest/gtest.h>\n#include "spans.pb.h"\n#include "tools/x.h"\n',
    "tools/x.h": "",
}


def breaches(**changed):
    """What the check says of the sound tree with these files (path -> text) put into it."""
    with tempfile.TemporaryDirectory() as folder:
        for path, text in {**SOUND, **changed["files"]}.items():
            file = pathlib.Path(folder) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return check_layers.check(folder)[0]


class CheckLayers(unittest.TestCase):
    def assert_breach(self, path, include, word):
        found = breaches(files={path: f"// first line\n#include {include}\n"})
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:2: "), found[0])
        self.assertIn(word, found[0])

    def test_a_sound_tree_has_no_breach(self):
        self.assertEqual(breaches(files={}), [])

    def test_the_real_tree_is_read(self):
        _, files = check_layers.check(ROOT)
        self.assertGreater(files, 10)

    def test_the_ring_needs_no_other_module(self):
        self.assert_breach("shm/lane.h", '"engine/base/bytes.h"', "shm may not include")

    def test_base_and_model_stand_on_nothing_above_them(self):
        self.assert_breach("engine/base/log.cc", '"engine/model/trace.h"', "engine/base may not")
        self.assert_breach("engine/model/ids.cc", '"shm/reader.h"', "engine/model may not")

    def test_exporters_know_neither_rings_nor_the_pipeline(self):
        self.assert_breach("exporters/encode/json.cc", '"shm/reader.h"', "exporters may not")
        self.assert_breach("exporters/encode/json.cc", '"engine/config/config.h"', "exporters may not")

    def test_the_engine_sees_no_writer_and_no_destination(self):
        self.assert_breach("engine/intake/pass.cc", '"shm/writer.h"', "engine may not")
        self.assert_breach("engine/deliver/send.cc", '"exporters/destinations/s3_sign.h"', "engine may not")

    def test_nobody_includes_tools(self):
        self.assert_breach("engine/main.cc", '"tools/x.h"', "engine may not")

    def test_a_destination_knows_neither_another_nor_the_loop(self):
        self.assert_breach("exporters/destinations/kafka.cc", '"exporters/destinations/s3_sign.h"', "does not know another")
        self.assert_breach("exporters/destinations/answer.cc", '"exporters/destinations/s3_sign.h"', "does not know another")
        self.assert_breach("exporters/destinations/b.cc", '"exporters/http/loop.h"', "pure functions")

    def test_libraries_stay_in_their_room(self):
        self.assert_breach("exporters/destinations/b.cc", "<curl/curl.h>", "libcurl only in exporters/http")
        self.assert_breach("shm/lane.h", "<boost/interprocess/mapped_region.hpp>", "Boost.Interprocess only")
        self.assert_breach("engine/route/rules.cc", "<yaml-cpp/yaml.h>", "yaml-cpp only in engine/config")
        self.assert_breach("shm/record.cc", "<fmt/format.h>", "fmt only")
        self.assert_breach("engine/stage/stage.cc", "<gtest/gtest.h>", "only in tools, bench and tests")

    def test_includes_are_written_from_the_repository_root(self):
        self.assert_breach("engine/intake/pass.cc", '"drain.h"', "from the repository root")
        self.assert_breach("tests/unit/b_test.cc", '"../a.h"', "from the repository root")


if __name__ == "__main__":
    unittest.main()
