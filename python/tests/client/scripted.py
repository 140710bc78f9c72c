"""A broker that does what a test says, packet by packet."""

from __future__ import annotations

import socket
import threading
from typing import Any

from karere.paho import client as mqtt

CONNACK = b"\x20\x02\x00\x00"
CONNACK_5 = b"\x20\x03\x00\x00\x00"


class Script:
    """A listening socket, and the connection that it last accepted."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.port: int = self.listener.getsockname()[1]
        self.conn: socket.socket | None = None

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self.drop()
        self.listener.close()

    def accept(self, answer: bytes | None = CONNACK) -> bytes:
        """Takes a connection and its CONNECT, and answers it."""
        self.drop()
        self.conn, _ = self.listener.accept()
        self.conn.settimeout(10)
        connect = self.packet()
        assert connect[0] == 0x10
        if answer is not None:
            self.send(answer)
        return connect

    def send(self, data: bytes) -> None:
        """Sends bytes as they are."""
        assert self.conn is not None
        self.conn.sendall(data)

    def packet(self) -> bytes:
        """The next packet; empty when the client has closed."""
        first = self._exactly(1)
        if not first:
            return b""
        length, shift, head = 0, 0, first
        while True:
            byte = self._exactly(1)
            head += byte
            length |= (byte[0] & 0x7F) << shift
            shift += 7
            if byte[0] < 0x80:
                return head + self._exactly(length)

    def drop(self) -> None:
        """Closes the connection."""
        if self.conn is not None:
            self.conn.close()
            self.conn = None

    def _exactly(self, count: int) -> bytes:
        assert self.conn is not None
        data = b""
        while len(data) < count:
            try:
                more = self.conn.recv(count - len(data))
            except ConnectionResetError:
                more = b""
            if not more:
                return b""
            data += more
        return data


def publish(topic: str, payload: bytes = b"", qos: int = 0, mid: int = 0, dup: bool = False) -> bytes:
    """A PUBLISH of 3.1.1."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + (mid.to_bytes(2, "big") if qos else b"") + payload
    assert len(body) < 128
    return bytes([0x30 | dup << 3 | qos << 1, len(body)]) + body


def ack(first: int, mid: int) -> bytes:
    """PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70)."""
    return bytes([first, 2]) + mid.to_bytes(2, "big")


class Told:
    """A condition on what callbacks have put down, to wait for."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._changed = threading.Condition()

    def add(self, item: Any) -> None:
        """Puts something down."""
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()

    def wait(self, count: int, timeout: float = 10) -> list[Any]:
        """All that was put down, once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.items) >= count, timeout), self.items
            return list(self.items)


def new_client(client_id: str = "", **options: Any) -> mqtt.Client:
    """A client whose callbacks have VERSION2's arguments, and that connects again at once."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id, **options)
    client.reconnect_delay_set(0.01, 0.01)  # type: ignore[arg-type]
    return client
