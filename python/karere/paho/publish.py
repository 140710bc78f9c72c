"""Publishes a message or several and disconnects: for a program that has nothing else to do with the broker."""

from __future__ import annotations

import collections
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Union

from . import MQTTException, _helpers
from . import client as paho
from .enums import CallbackAPIVersion, MQTTProtocolVersion
from .properties import Properties
from .reasoncodes import ReasonCode

if TYPE_CHECKING:
    import ssl
    from typing import Literal, TypedDict

    class AuthParameter(TypedDict, total=False):
        """`username` is required."""

        username: str
        password: str

    class TLSParameter(TypedDict, total=False):
        """The arguments of `Client.tls_set`, and whether the certificate's name may be any."""

        ca_certs: str
        certfile: str
        keyfile: str
        tls_version: int
        ciphers: str
        insecure: bool

    class MessageDict(TypedDict, total=False):
        """The arguments of `Client.publish`; `topic` is required."""

        topic: str
        payload: paho.PayloadType
        qos: int
        retain: bool

    MessageTuple = tuple[str, paho.PayloadType, int, bool]
    MessagesList = list[Union[MessageDict, MessageTuple]]


def single(
    topic: str,
    payload: paho.PayloadType = None,
    qos: int = 0,
    retain: bool = False,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = paho.MQTTv311,
    transport: Literal["tcp", "websockets"] = "tcp",
    proxy_args: Any | None = None,
) -> None:
    """Publishes one message, waits until the broker has it, and disconnects.

    The other arguments and the errors are those of `multiple`.
    """
    message: MessageDict = {"topic": topic, "payload": payload, "qos": qos, "retain": retain}
    multiple(
        [message],
        hostname,
        port,
        client_id,
        keepalive,
        will,
        auth,
        tls,
        protocol,
        transport,
        proxy_args,
    )


def multiple(
    msgs: MessagesList,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = paho.MQTTv311,
    transport: Literal["tcp", "websockets"] = "tcp",
    proxy_args: Any | None = None,
) -> None:
    """Publishes messages one after the other, each when the broker has the one before it, and disconnects.

    A message is a dict or a tuple of `Client.publish`'s arguments, `will` a dict of `Client.will_set`'s, `tls` one of
    `Client.tls_set`'s (and `insecure`) or an `ssl.SSLContext`, `proxy_args` one of `Client.proxy_set`'s.

    MQTTException if the broker refuses the connection, OSError if there is none, TypeError or ValueError for messages
    that are none.
    """
    if not isinstance(msgs, Iterable):
        raise TypeError("msgs must be an iterable")
    if len(msgs) == 0:
        raise ValueError("msgs is empty")

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata=collections.deque(msgs),
        protocol=protocol,
        transport=transport,
    )
    client.enable_logger()
    client.on_publish = _on_publish
    client.on_connect = _on_connect
    _helpers.prepare(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def _on_connect(
    client: paho.Client,
    userdata: collections.deque[Any],
    flags: Any,
    reason_code: ReasonCode,
    properties: Properties | None,
) -> None:
    if reason_code != 0:
        # Out of loop_forever, to who called this module.
        raise MQTTException(paho.connack_string(reason_code))
    if userdata:
        _publish_next(client, userdata)


def _on_publish(
    client: paho.Client,
    userdata: collections.deque[Any],
    mid: int,
    reason_code: ReasonCode,
    properties: Properties | None,
) -> None:
    if userdata:
        _publish_next(client, userdata)
    else:
        client.disconnect()


def _publish_next(client: paho.Client, messages: collections.deque[Any]) -> None:
    message = messages.popleft()
    if isinstance(message, dict):
        client.publish(**message)
    elif isinstance(message, (tuple, list)):
        client.publish(*message)
    else:
        raise TypeError("message must be a dict, tuple, or list")
