"""Virtual environments of a test's own."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

from conftest import ROOT, run


class Environment:
    """A virtual environment, and its Python."""

    # What is built for one Python is built again for another, and so each has its folder.
    target = "target/wheel-fresh"

    def __init__(self, folder: pathlib.Path):
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", str(folder)])
        self.folder = folder
        self.python = str(folder / "bin/python")

    def pip(self, *arguments: object, timeout: float = 600) -> str:
        """Runs pip in the folder of the checkout, with builds in a target folder that lasts."""
        # The path, so that maturin is found where it is not fetched for a build.
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "CARGO_TARGET_DIR": str(ROOT / self.target), "PATH": path}
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
        return run(command, timeout=timeout, cwd=ROOT, env=environment)

    def install(self, *what: object, timeout: float = 600) -> None:
        self.pip("install", "--quiet", *what, timeout=timeout)

    def uninstall(self, *what: str) -> None:
        self.pip("uninstall", "--quiet", "--yes", *what)

    def says(self, code: str, **variables: str) -> str:
        """What a fresh interpreter prints for `code`, or the last line of the exception."""
        command = [self.python, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env={**os.environ, **variables})
        return (done.stdout if done.returncode == 0 else done.stderr.strip().splitlines()[-1]).strip()

    def runs(self, path: pathlib.Path, **variables: str) -> str:
        """What the program at `path` prints."""
        return run([self.python, str(path)], timeout=60, env={**os.environ, **variables}).strip()
