"""A source tree with one planted file, for the tests of the checks."""

import contextlib
import io
import pathlib
import runpy
import sys
import tempfile
import unittest
from unittest import mock

TOOLS = pathlib.Path(__file__).resolve().parents[2] / 'tools'
sys.path.insert(1, str(TOOLS))  # where the tools import from; a tool as a script does so by itself


def run_script(script, *arguments):
    """Exit code, output and error output of a Python script, as if it ran by itself. It runs in this
    process, with globals of its own: the start of an interpreter takes many times as long."""
    output, errors, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, 'argv', [str(script), *map(str, arguments)]), \
            contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            runpy.run_path(str(script), run_name='__main__')
        except SystemExit as e:
            code = e.code or 0
    if isinstance(code, str):
        print(code, file=errors)
        code = 1
    return code, output.getvalue(), errors.getvalue()


class PlantedTest(unittest.TestCase):
    tool = ''  # the script under test, set by the subclass

    def run_tool(self, files):
        """Exit code and output of the tool on a tree that holds just these files."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                file = pathlib.Path(root) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            code, output, errors = run_script(TOOLS / self.tool, root)
        return code, output + errors

    def assert_caught(self, path, text, message):
        code, output = self.run_tool({path: text})
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)
        self.assertIn(path, output)

    def assert_clean(self, path, text):
        code, output = self.run_tool({path: text})
        self.assertEqual(code, 0, output)
