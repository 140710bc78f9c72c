"""The sequences of callbacks, with their arguments, against Debian's mosquitto and against our broker."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from conftest import genuine, ours, run, shared_folder, start_karere, start_mosquitto

from .differences import complaints, read, report

pytestmark = pytest.mark.slow
WHICH_PAHO = 'V2 = hasattr(m, "CallbackAPIVersion")'


class Gate(socketserver.ThreadingTCPServer):
    """Stands before a broker that knows no passwords, and refuses the user `bad` as one that does would."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int):
        super().__init__(("127.0.0.1", 0), GateHandler)
        self.broker_port = port
        threading.Thread(target=self.serve_forever, daemon=True).start()


class GateHandler(socketserver.BaseRequestHandler):
    """One connection through the gate."""

    server: Gate

    def handle(self) -> None:
        first = self.request.recv(4096)
        if b"\x00\x03bad" in first:
            refused = b"\x20\x03\x00\x87\x00" if b"MQTT\x05" in first else b"\x20\x02\x00\x05"
            self.request.sendall(refused)
            return
        with socket.create_connection(("127.0.0.1", self.server.broker_port)) as broker:
            broker.sendall(first)
            back = threading.Thread(target=pump, args=(broker, self.request), daemon=True)
            back.start()
            pump(self.request, broker)
            back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes one way until either end goes, and then the other end knows."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextlib.contextmanager
def fresh_karere(folder: pathlib.Path) -> Iterator[int]:
    """The port of a broker of ours that knows no session yet, behind its gate."""
    broker = start_karere()
    with Gate(broker.port) as gate:
        yield gate.server_address[1]
        gate.shutdown()
    broker.stop()


@contextlib.contextmanager
def fresh_mosquitto(folder: pathlib.Path) -> Iterator[int]:
    """The port of a mosquitto that knows no session yet."""
    broker = start_mosquitto(folder)
    yield broker.port
    broker.stop()


FreshBroker = Callable[[pathlib.Path], contextlib.AbstractContextManager[int]]


def sequences(folder: pathlib.Path, broker: FreshBroker, command: list[str], old: bool = False) -> dict[str, Any]:
    """What live_probe.py records, in an order that does not depend on which thread was first."""
    source = (shared_folder() / "paho-golden/live_probe.py").read_text()
    assert WHICH_PAHO in source and "1883" in source
    if old:
        source = source.replace(WHICH_PAHO, "V2 = False")
    with broker(folder) as port:
        path = folder / "live_probe.py"
        path.write_text(source.replace("1883", str(port)))
        return ordered(read(run([*command, str(path)])))


def ordered(recorded: dict[str, Any]) -> dict[str, Any]:
    """Each sequence as what the program did and what its callbacks saw, in the order of each.

    Whether the looped back message, the acknowledgement or the packet's last byte comes first is the broker's timing,
    and what a thread sees beside what another does is the scheduler's.
    """
    result = {}
    for name, lines in recorded.items():
        lanes: dict[str, list[str]] = {"program": [], "callbacks": [], "on_publish": [], "on_message": [], "raised": []}
        for line in lines:
            lanes[_lane(line)].append(line)
        result[name] = [line for lane in lanes.values() for line in lane]
    return result


def _lane(line: str) -> str:
    for name in ("on_message", "on_publish"):
        if line.startswith(f"{name}(") and line.endswith("@loop"):
            return name
    if line.startswith(("on_message raises", "on_log", "THREAD")):
        return "raised"
    return "callbacks" if line.endswith("@loop") else "program"


def judge(folder: pathlib.Path, broker: FreshBroker, recordings: list[dict[str, Any]], old: bool = False) -> None:
    """Runs the probe on karere and fails for what is in no recording of genuine paho-mqtt.

    It waits by the clock, 0.15 s for each answer: what differs once is asked again, as this machine may be busy.
    """
    found: list[str] | None = None
    for _ in range(2):
        answers = sequences(folder, broker, ours(), old)
        for expected in recordings:
            known = {name: answers.get(name) for name in expected}
            wrong = complaints("live", expected, known, only_known=True)
            found = [item for item in wrong if found is None or _name(item) in map(_name, found)]
        if not found:
            return
    pytest.fail(report("live", found or []))


def _name(complaint: str) -> str:
    return complaint.partition("\n")[0].partition(" (-")[0]


def table(name: str) -> dict[str, Any]:
    return ordered(read((shared_folder() / "paho-golden" / name).read_text()))


def test_callbacks_come_as_in_2_2_0_with_mosquitto(tmp_path: pathlib.Path) -> None:
    judge(tmp_path, fresh_mosquitto, [table("live_v2.json")])


def test_callbacks_come_as_in_2_2_0_with_our_broker(tmp_path: pathlib.Path) -> None:
    folders = [tmp_path / "first", tmp_path / "second"]
    with ThreadPoolExecutor() as pool:
        recordings = [run.result() for run in [pool.submit(record, folder) for folder in folders]]
    judge(tmp_path, fresh_karere, recordings + [unhurried(recording) for recording in recordings])


def unhurried(recorded: dict[str, Any]) -> dict[str, Any]:
    """The recording as it is when the caller was faster than genuine's thread.

    Now and then genuine's disconnect() sends its packet, its thread sees the connection end, and the call then says
    NO_CONN.
    """
    hurried, calm = "disconnect -> MQTTErrorCode(4)", "disconnect -> MQTTErrorCode(0)"
    return {name: [calm if line == hurried else line for line in lines] for name, lines in recorded.items()}


def record(folder: pathlib.Path) -> dict[str, Any]:
    """What genuine paho-mqtt 2.2.0 sees of our broker."""
    folder.mkdir()
    return sequences(folder, fresh_karere, [genuine("2.2.0")])


def test_a_program_for_1_x_gets_its_callbacks_as_in_2_2_0_with_version_1(tmp_path: pathlib.Path) -> None:
    expected = {name: lines for name, lines in table("live_v2.json").items() if name.startswith("VERSION1")}
    judge(tmp_path, fresh_mosquitto, [expected], old=True)
