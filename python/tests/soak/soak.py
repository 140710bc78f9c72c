"""All faces through `cycles.py` against our broker, each in a process of its own: `soak.py CYCLES`."""

from __future__ import annotations

import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from conftest import start_karere  # noqa: E402

FACES = ["paho", "karere", "aio"]


def main(cycles: str) -> int:
    """Runs them one after the other; how many of them let something pile up."""
    broker = start_karere("--data", "none")
    try:
        command = [sys.executable, str(HERE / "cycles.py")]
        runs = [subprocess.run([*command, face, cycles, str(broker.port)], check=False) for face in FACES]
    finally:
        broker.stop()
    return sum(run.returncode != 0 for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
