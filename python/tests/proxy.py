"""Stands between a client and a broker, so that a test can look at the bytes and cut the connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from types import TracebackType


class Proxy:
    """A proxy on a free port. Each connection is relayed until somebody closes it or `cut` is called."""

    def __init__(self, port: int):
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._all: list[socket.socket] = []
        #: Connections so far.
        self.connections = 0
        #: What clients have sent, one piece a connection.
        self.sent: list[bytearray] = []
        #: Connections that their client has closed.
        self.closed = 0
        #: Whether new connections are accepted.
        self.is_open = True
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
        self.cut()
        for end in self._all:
            end.close()

    def cut(self) -> None:
        """Ends all connections as a broken network does: at once, with what is under way."""
        with self._changed:
            pairs, self._pairs = self._pairs, []
        for end in (end for pair in pairs for end in pair):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def wait_for(self, what: str, count: int, timeout: float = 20) -> None:
        """Waits until the counter `connections` or `closed` has come to `count`."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while getattr(self, what) < count:
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{what} is {getattr(self, what)}, not {count}")

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if not self.is_open:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                sent = bytearray()
                with self._changed:
                    self._pairs.append((client, server))
                    self._all += (client, server)
                    self.sent.append(sent)
                    self.connections += 1
                    self._changed.notify_all()
                threading.Thread(target=self._relay, args=(client, server, sent), daemon=True).start()
                threading.Thread(target=self._relay, args=(server, client, None), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, sent: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sent is not None:
                    sent += data
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        if sent is not None:
            with self._changed:
                self.closed += 1
                self._changed.notify_all()


def says_disconnect(sent: bytearray) -> bool:
    """Whether what a client has sent ends with a DISCONNECT of a normal end."""
    return sent.endswith((b"\xe0\x00", b"\xe0\x01\x00", b"\xe0\x02\x00\x00"))
