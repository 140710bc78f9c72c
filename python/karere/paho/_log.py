"""paho's lines for `on_log` and the logger."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from ._names import LOGGING_LEVEL, MQTT_LOG_DEBUG
from .enums import LogLevel
from .packettypes import PacketTypes
from .properties import Properties

# What `connect()`, `subscribe()` and the others tell by themselves, knowing more of it.
_TOLD_ELSEWHERE = frozenset(("CONNECT", "CONNACK", "SUBSCRIBE", "UNSUBSCRIBE", "DISCONNECT", "AUTH"))
_WITH_MID = frozenset(("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "UNSUBACK"))


class Logging:
    """What a client says of itself."""

    _logger: logging.Logger | None
    _userdata: Any
    if TYPE_CHECKING:
        on_log: Any

    def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None:
        callback = self.on_log
        if callback is not None:
            try:
                callback(self, self._userdata, level, fmt % args if args else fmt)
            except Exception:
                pass
        if self._logger is not None:
            self._logger.log(LOGGING_LEVEL[level], fmt, *args)

    def _log_packet(
        self,
        sent: bool,
        name: str,
        mid: int,
        flags: tuple[bool, int, bool],
        topic: str,
        size: int,
        block: bytes | None,
    ) -> None:
        """One packet; `block` is the properties of a PUBLISH in 5.0."""
        verb = "Sending" if sent else "Received"
        if name == "PUBLISH":
            self._log_publish(verb, mid, flags, topic, size, block)
        elif name in _WITH_MID:
            self._easy_log(MQTT_LOG_DEBUG, f"{verb} {name} (Mid: %d)", mid)
        elif name not in _TOLD_ELSEWHERE:
            self._easy_log(MQTT_LOG_DEBUG, f"{verb} {name}")

    def _log_publish(
        self, verb: str, mid: int, flags: tuple[bool, int, bool], topic: str, size: int, block: bytes | None
    ) -> None:
        sent = verb == "Sending"
        # What is sent is shown as bytes, what came as text.
        args: list[Any] = [*flags, mid, topic.encode("utf-8") if sent else topic]
        text = f"{verb} PUBLISH (d%d, q%d, r%d, m%d), '%s'"
        if block is not None:
            text += ", properties=%s"
            properties = Properties(PacketTypes.PUBLISH)
            properties.unpack(block)
            args.append(None if sent and properties.isEmpty() else properties)
        if sent and size == 0:
            text += " (NULL payload)"
        else:
            text += ", ... (%d bytes)" if sent else ", ...  (%d bytes)"
            args.append(size)
        self._easy_log(MQTT_LOG_DEBUG, text, *args)

    def _log_raised(self, text: str, error: BaseException, name: str | None) -> None:
        self._easy_log(LogLevel.MQTT_LOG_ERR, text, *((error,) if name is None else (name, error)))

    def _report(self, error: BaseException) -> None:
        """A callback has raised in the loop's thread, where nobody can catch it."""
        hook_args = (type(error), error, error.__traceback__, threading.current_thread())
        threading.excepthook(threading.ExceptHookArgs(hook_args))
