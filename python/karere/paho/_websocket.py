"""The beginning of a WebSocket connection; its frames are native."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any

from ._names import WebsocketConnectionError, WebSocketHeaders

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD_BYTES_MAX = 64 * 1024


class WebsocketWrapper:
    """A socket over which WebSocket is spoken: the upgrade is done when it has been made.

    WebsocketConnectionError when the server does not agree. Everything else is the socket's, for event loops and
    options; the bytes on it are frames.
    """

    def __init__(
        self, socket: Any, host: str, port: int, is_ssl: bool, path: str | None, extra_headers: WebSocketHeaders | None
    ) -> None:
        self._socket = socket
        #: What came behind the server's answer.
        self._early = b""
        default_port, scheme = (443, "https") if is_ssl else (80, "http")
        name = host if port == default_port else f"{host}:{port}"
        key = base64.b64encode(os.urandom(16)).decode("ascii")
        headers = {
            "Host": name,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Origin": f"{scheme}://{name}",
            "Sec-WebSocket-Key": key,
            "Sec-Websocket-Version": "13",
            "Sec-Websocket-Protocol": "mqtt",
        }
        if isinstance(extra_headers, dict):
            headers.update(extra_headers)
        elif callable(extra_headers):
            headers = extra_headers(headers)
        lines = [f"GET {path or '/mqtt'} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        socket.send("\r\n".join(lines).encode("utf-8"))
        self._check(self._read_answer(), headers.get("Sec-WebSocket-Key", key))

    def _read_answer(self) -> list[str]:
        """The lines of the server's answer."""
        answer = b""
        while b"\r\n\r\n" not in answer:
            try:
                more = self._socket.recv(4096)
            except ConnectionResetError:
                more = b""
            if not more or len(answer) > _HEAD_BYTES_MAX:
                raise WebsocketConnectionError("WebSocket handshake error")
            answer += more
        head, _, self._early = answer.partition(b"\r\n\r\n")
        return head.decode("latin-1").split("\r\n")

    @staticmethod
    def _check(lines: list[str], key: str) -> None:
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if "connection" in headers and "upgrade" not in headers["connection"].lower():
            raise WebsocketConnectionError("WebSocket handshake error, connection not upgraded")
        accept = headers.get("sec-websocket-accept")
        wanted = hashlib.sha1(key.encode("utf-8") + _GUID, usedforsecurity=False).digest()
        if accept is not None and accept != base64.b64encode(wanted).decode("ascii"):
            raise WebsocketConnectionError("WebSocket handshake error, invalid secret key")
        if accept is None or "connection" not in headers or lines[0].split(" ")[1:2] != ["101"]:
            raise WebsocketConnectionError("WebSocket handshake error")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)
