"""`python -m karere.paho app.py args...`: runs a program of paho-mqtt's on karere, unchanged.

It serves this process alone: for the processes that a program starts, install karere-paho.
"""

from __future__ import annotations

import builtins
import io
import os
import runpy
import sys
from types import ModuleType

from ._install import install

_USAGE = "usage: python -m karere.paho app.py [args...]\n       python -m karere.paho -m module [args...]"


def main(arguments: list[str]) -> None:
    """Runs the program that `arguments` name as Python itself would have run it."""
    if not arguments or arguments[0] in ("-h", "--help") or arguments == ["-m"]:
        print(_USAGE)
        sys.exit(0 if arguments and arguments != ["-m"] else 2)
    install()
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        _run_script(arguments[0])


def _run_script(path: str) -> None:
    try:
        with io.open_code(os.path.abspath(path)) as file:
            code = compile(file.read(), path, "exec")
    except OSError as error:
        sys.exit(f"python -m karere.paho: can't open file {path!r}: {error.strerror}")
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.abspath(path))
    # Not runpy.run_path: it takes the module away when the script ends, and callbacks may still run then.
    module = ModuleType("__main__")
    module.__file__ = path
    module.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


if __name__ == "__main__":
    main(sys.argv[1:])
