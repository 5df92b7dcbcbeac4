"""A source tree with one planted file, for the tests of the checks."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / 'tools'


class PlantedTest(unittest.TestCase):
    tool = ''  # the script under test, set by the subclass

    def run_tool(self, files):
        """Exit code and output of the tool on a tree that holds just these files."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                file = pathlib.Path(root) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            done = subprocess.run([sys.executable, TOOLS / self.tool, root],
                                  capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def assert_caught(self, path, text, message):
        code, output = self.run_tool({path: text})
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)
        self.assertIn(path, output)

    def assert_clean(self, path, text):
        code, output = self.run_tool({path: text})
        self.assertEqual(code, 0, output)
