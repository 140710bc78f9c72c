"""The arguments of `subscribe()` and `unsubscribe()`: what paho takes, and what it says of the rest."""

from __future__ import annotations

from typing import Any

from .subscribeoptions import SubscribeOptions


def subscriptions(topic: Any, qos: int, options: Any, v5: bool) -> list[tuple[bytes, Any]]:
    """Filters, each with a QoS or in 5.0 with its options; ValueError for what is none."""
    wanted: list[tuple[bytes, Any]] | None = None
    if isinstance(topic, tuple):
        if v5:
            topic, options = topic
            _check_options(options)
        else:
            topic, qos = topic
    if isinstance(topic, (str, bytes)):
        wanted = [_one(topic, qos, options, v5)]
    elif isinstance(topic, list):
        if len(topic) == 0:
            raise ValueError("Empty topic list")
        wanted = [_one_of_list(name, option, v5) for name, option in topic]
    if wanted is None:
        raise ValueError("No topic specified, or incorrect topic type.")
    if not all(_is_filter(name) for name, _ in wanted):
        raise ValueError("Invalid subscription filter.")
    return wanted


def filters(topic: Any) -> list[bytes]:
    """Filters to unsubscribe from; ValueError for what is none."""
    if topic is None:
        raise ValueError("Invalid topic.")
    if isinstance(topic, (str, bytes)):
        if len(topic) == 0:
            raise ValueError("Invalid topic.")
        return [topic.encode("utf-8")]  # type: ignore[union-attr]
    if not isinstance(topic, list):
        raise ValueError("No topic specified, or incorrect topic type.")
    if any(len(name) == 0 or not isinstance(name, (str, bytes)) for name in topic):
        raise ValueError("Invalid topic.")
    return [name.encode("utf-8") for name in topic]


def _one(topic: Any, qos: int, options: Any, v5: bool) -> tuple[bytes, Any]:
    if qos < 0 or qos > 2:
        raise ValueError("Invalid QoS level.")
    if not v5:
        if len(topic) == 0:
            raise ValueError("Invalid topic.")
        return (topic.encode("utf-8"), qos)
    if options is None:
        options = SubscribeOptions(qos=qos)
    elif qos != 0:
        raise ValueError("Subscribe options and qos parameters cannot be combined.")
    _check_options(options)
    return (topic.encode("utf-8"), options)


def _one_of_list(name: Any, option: Any, v5: bool) -> tuple[bytes, Any]:
    if v5:
        if not isinstance(option, SubscribeOptions):
            if option < 0 or option > 2:
                raise ValueError("Invalid QoS level.")
            option = SubscribeOptions(qos=option)
    else:
        if isinstance(option, SubscribeOptions) or option < 0 or option > 2:
            raise ValueError("Invalid QoS level.")
        if name is None or len(name) == 0 or not isinstance(name, (bytes, str)):
            raise ValueError("Invalid topic.")
    return (name.encode("utf-8"), option)


def _is_filter(name: bytes) -> bool:
    if not 0 < len(name) <= 65535 or b"#/" in name:
        return False
    return not any(len(level) > 1 and (b"+" in level or b"#" in level) for level in name.split(b"/"))


def _check_options(options: Any) -> None:
    if not isinstance(options, SubscribeOptions):
        raise ValueError("Subscribe options must be instance of SubscribeOptions class.")
