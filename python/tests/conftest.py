"""What the tests of the Python packages share: brokers on free ports, genuine paho-mqtt, and what lies beside this
repository."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background with interrupts ignored, and children take that over.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "slow: left out of the fast run")


class Broker:
    """A broker of one test or of one run, and what it printed."""

    def __init__(self, command: list[str], ready: str, port: int | None = None):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        found = self._wait_for(re.compile(ready))
        self.port = port if port is not None else int(found.group(1))
        # A pipe that nobody reads stops who writes to it.
        threading.Thread(target=self._drain, daemon=True).start()

    def _wait_for(self, ready: re.Pattern[str]) -> re.Match[str]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            found = ready.search(line)
            if found:
                return found
        raise RuntimeError(f"{self.process.args} did not start:\n{''.join(self.lines)}")

    def _drain(self) -> None:
        assert self.process.stdout is not None
        with contextlib.suppress(ValueError):
            self.lines.extend(self.process.stdout)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def karere_binary() -> str:
    """The command line, built in the release profile."""
    path = pathlib.Path(os.environ.get("KARERE_BIN", ROOT / "target/release/karere"))
    if not path.exists():
        pytest.fail(f"{path} is not there: cargo build --release")
    return str(path)


def start_karere(*options: str) -> Broker:
    """Our broker on a free port, with everything in memory unless `--data` says otherwise."""
    if "--data" not in options:
        options = ("--data", "none", *options)
    return Broker([karere_binary(), "broker", "-p", "0", *options], r"[Ll]istening.*:(\d+)")


def start_mosquitto(folder: pathlib.Path, configuration: str = "allow_anonymous true\n") -> Broker:
    """Debian's mosquitto on a free port; `user` with the password `pass` is known to it."""
    program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.fail("there is no mosquitto here: cargo xtask setup")
    passwords = folder / "passwords"
    passwords.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "user", "pass"], check=True, capture_output=True)
    port = free_port()
    # It gives up what it is as root, and then must still read its files.
    account = "user root\n" if os.geteuid() == 0 else ""
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\npassword_file {passwords}\n{account}{configuration}")
    return Broker([program, "-c", str(file)], r"mosquitto version .* running", port)


@pytest.fixture(scope="session")
def karere_broker() -> Iterator[Broker]:
    """Our broker, one for the run: topics are to be each test's own."""
    broker = start_karere()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Debian's mosquitto, one for the run: topics are to be each test's own."""
    broker = start_mosquitto(tmp_path_factory.mktemp("mosquitto"))
    yield broker
    broker.stop()


@pytest.fixture
def shared() -> pathlib.Path:
    """The folder of golden tables and tutorials beside this repository."""
    return shared_folder()


def shared_folder() -> pathlib.Path:
    """See `shared`; the test fails where the folder is not."""
    if not SHARED.is_dir():
        pytest.fail(f"{SHARED} is not there: this test reads paho-mqtt's golden tables and the tutorials in it")
    return SHARED


def genuine(version: str) -> str:
    """The Python of the environment that has paho-mqtt of this version and nothing of ours."""
    python = ROOT / f"target/peers/paho-{version}/bin/python"
    if not python.exists():
        pytest.fail(f"{python} is not there: cargo xtask setup")
    return str(python)


def ours() -> list[str]:
    """How to run a program of paho-mqtt's on karere, before its path."""
    return [sys.executable, "-m", "karere.paho"]


def run(command: list[str], timeout: float = 120, **options: object) -> str:
    """What `command` prints; the test fails with what it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        pytest.fail(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return str(done.stdout)
