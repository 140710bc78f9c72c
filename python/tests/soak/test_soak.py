"""A smoke of the soak: `cargo xtask soak python` is the same with more cycles."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from conftest import Broker

PROGRAM = pathlib.Path(__file__).with_name("cycles.py")


@pytest.mark.parametrize("face", ["paho", "karere", "aio"])
def test_nothing_piles_up_over_some_hundred_connections(face: str, karere_broker: Broker) -> None:
    command = [sys.executable, str(PROGRAM), face, "600", str(karere_broker.port)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
