"""The callbacks of a client: properties, with decorators that set them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Those that the native half must know of before it holds the interpreter's lock.
_TOLD = {"on_publish", "on_socket_register_write", "on_socket_unregister_write", "on_log"}


def _callback(name: str, called: str) -> property:
    attribute = "_" + name
    told = name in _TOLD

    def set_callback(self: Callbacks, func: Any) -> None:
        setattr(self, attribute, func)
        if told:
            self._tell_callbacks()
        else:
            self._changed()

    return property(operator.attrgetter(attribute), set_callback, doc=f"Called {called}. None for nothing.")


def _decorator(name: str) -> Callable[[Callbacks], Callable[[F], F]]:
    def decorator(self: Callbacks) -> Callable[[F], F]:
        def set_callback(func: F) -> F:
            setattr(self, name, func)
            return func

        return set_callback

    decorator.__doc__ = f"A decorator that sets `{name}` and returns the function as it is."
    return decorator


class Callbacks:
    """What a program hangs its functions on; which arguments they get depends on `callback_api_version`."""

    _names = (
        "on_log",
        "on_pre_connect",
        "on_connect",
        "on_connect_fail",
        "on_subscribe",
        "on_message",
        "on_publish",
        "on_unsubscribe",
        "on_disconnect",
        "on_socket_open",
        "on_socket_close",
        "on_socket_register_write",
        "on_socket_unregister_write",
    )

    on_log = _callback("on_log", "for each packet and event: `on_log(client, userdata, level, buf)`")
    on_pre_connect = _callback("on_pre_connect", "before each attempt to connect: `on_pre_connect(client, userdata)`")
    on_connect = _callback("on_connect", "when the broker has answered CONNECT")
    on_connect_fail = _callback("on_connect_fail", "when a connection could not be made: `f(client, userdata)`")
    on_subscribe = _callback("on_subscribe", "when the broker has answered `subscribe()`")
    on_message = _callback("on_message", "for each message that no filter took: `f(client, userdata, message)`")
    on_publish = _callback("on_publish", "when a message was sent (QoS 0) or has arrived (QoS 1, 2)")
    on_unsubscribe = _callback("on_unsubscribe", "when the broker has answered `unsubscribe()`")
    on_disconnect = _callback("on_disconnect", "when a connection has ended")
    on_socket_open = _callback("on_socket_open", "with a new socket: `f(client, userdata, sock)`")
    on_socket_close = _callback("on_socket_close", "with a socket before it is closed: `f(client, userdata, sock)`")
    on_socket_register_write = _callback("on_socket_register_write", "when the socket is to be watched for writing")
    on_socket_unregister_write = _callback(
        "on_socket_unregister_write", "when the socket has nothing to write any more"
    )

    log_callback = _decorator("on_log")
    pre_connect_callback = _decorator("on_pre_connect")
    connect_callback = _decorator("on_connect")
    connect_fail_callback = _decorator("on_connect_fail")
    subscribe_callback = _decorator("on_subscribe")
    message_callback = _decorator("on_message")
    publish_callback = _decorator("on_publish")
    unsubscribe_callback = _decorator("on_unsubscribe")
    disconnect_callback = _decorator("on_disconnect")
    socket_open_callback = _decorator("on_socket_open")
    socket_close_callback = _decorator("on_socket_close")
    socket_register_write_callback = _decorator("on_socket_register_write")
    socket_unregister_write_callback = _decorator("on_socket_unregister_write")

    def _has(self, name: str) -> bool:
        """Whether there is such a callback: set, or a method of a subclass."""
        return getattr(type(self), name) is not getattr(Callbacks, name) or getattr(self, "_" + name) is not None

    if TYPE_CHECKING:

        def _tell_callbacks(self) -> None: ...

        def _changed(self) -> None: ...
