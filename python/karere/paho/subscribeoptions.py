"""The options of a subscription in MQTT 5.0 (3.8.3.1)."""

from __future__ import annotations

from typing import Any

from .exception import MQTTException

__all__ = ["MQTTException", "SubscribeOptions"]

_FIELDS = ["QoS", "noLocal", "retainAsPublished", "retainHandling"]


class SubscribeOptions:
    """The options of one subscription: attributes QoS, noLocal, retainAsPublished and retainHandling."""

    # When retained messages are sent: at every subscribe, at the first, never.
    RETAIN_SEND_ON_SUBSCRIBE, RETAIN_SEND_IF_NEW_SUB, RETAIN_DO_NOT_SEND = range(3)

    names: list[str]
    QoS: int
    noLocal: bool
    retainAsPublished: bool
    retainHandling: int

    def __init__(
        self,
        qos: int = 0,
        noLocal: bool = False,
        retainAsPublished: bool = False,
        retainHandling: int = RETAIN_SEND_ON_SUBSCRIBE,
    ):
        """AssertionError if `qos` or `retainHandling` is not 0, 1 or 2."""
        object.__setattr__(self, "names", list(_FIELDS))
        self.QoS = qos
        self.noLocal = noLocal
        self.retainAsPublished = retainAsPublished
        self.retainHandling = retainHandling
        self._check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.names:
            raise MQTTException(f"{name} Attribute name must be one of {self.names}")
        object.__setattr__(self, name, value)

    def pack(self) -> bytes:
        """The byte on the wire; AssertionError for a value that it cannot hold."""
        self._check()
        flags = bool(self.retainAsPublished) << 3 | bool(self.noLocal) << 2
        return bytes([self.retainHandling << 4 | flags | self.QoS])

    def unpack(self, buffer: bytes | bytearray) -> int:
        """Takes the first byte of `buffer` and returns 1, the bytes it read."""
        byte = buffer[0]
        self.retainHandling = byte >> 4 & 3
        self.retainAsPublished = byte >> 3 & 1 == 1
        self.noLocal = byte >> 2 & 1 == 1
        self.QoS = byte & 3
        self._check()
        return 1

    def json(self) -> dict[str, Any]:
        """The options by name."""
        return {name: getattr(self, name) for name in _FIELDS}

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in self.json().items())
        return "{" + values + "}"

    __repr__ = __str__

    def _check(self) -> None:
        # Not the statement `assert`: `python -O` leaves that out, and this text is part of the API.
        if self.retainHandling not in (0, 1, 2):
            raise AssertionError(f"Retain handling should be 0, 1 or 2, not {self.retainHandling}")
        if self.QoS not in (0, 1, 2):
            raise AssertionError(f"QoS should be 0, 1 or 2, not {self.QoS}")
