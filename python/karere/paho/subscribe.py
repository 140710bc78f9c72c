"""Subscribes for as long as a program waits: for one message, for several, or for ever with a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import MQTTException, _helpers
from . import client as paho
from .enums import CallbackAPIVersion

if TYPE_CHECKING:
    import ssl
    from typing import Literal

    from .enums import MQTTProtocolVersion
    from .properties import Properties
    from .publish import AuthParameter, MessageDict, TLSParameter
    from .reasoncodes import ReasonCode


def callback(
    callback: paho.CallbackOnMessage,
    topics: str | list[str],
    qos: int = 0,
    userdata: Any = None,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = paho.MQTTv311,
    transport: Literal["tcp", "websockets"] = "tcp",
    clean_session: bool | None = True,
    proxy_args: Any | None = None,
) -> None:
    """Calls `callback(client, userdata, message)` for each message, until that disconnects the client.

    `topics` is a filter or a list of them, all subscribed at the QoS `qos`. The other arguments are those of
    `publish.multiple`. MQTTException if the broker refuses the connection, OSError if there is none, ValueError for a
    QoS that is none.
    """
    if qos < 0 or qos > 2:
        raise ValueError("qos must be in the range 0-2")

    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        userdata={"callback": callback, "topics": topics, "qos": qos, "userdata": userdata},
        protocol=protocol,
        transport=transport,
        clean_session=None if protocol == paho.MQTTv5 else clean_session,
    )
    client.enable_logger()
    client.on_message = _on_message
    client.on_connect = _on_connect
    _helpers.prepare(client, will, auth, tls, proxy_args)
    client.connect(hostname, port, keepalive)
    client.loop_forever()


def simple(
    topics: str | list[str],
    qos: int = 0,
    msg_count: int = 1,
    retained: bool = True,
    hostname: str = "localhost",
    port: int = 1883,
    client_id: str = "",
    keepalive: int = 60,
    will: MessageDict | None = None,
    auth: AuthParameter | None = None,
    tls: TLSParameter | ssl.SSLContext | None = None,
    protocol: MQTTProtocolVersion = paho.MQTTv311,
    transport: Literal["tcp", "websockets"] = "tcp",
    clean_session: bool | None = True,
    proxy_args: Any | None = None,
) -> paho.MQTTMessage | list[paho.MQTTMessage] | None:
    """Waits for `msg_count` messages and returns them: one message, or a list where `msg_count` is above 1.

    With `retained` False, retained messages do not count. The other arguments and the errors are those of `callback`.
    """
    if msg_count < 1:
        raise ValueError("msg_count must be > 0")

    messages: list[paho.MQTTMessage] = []

    def collect(client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        # What the broker sent before it knew that we go.
        if len(messages) == msg_count or (message.retain and not retained):
            return
        messages.append(message)
        if len(messages) == msg_count:
            client.disconnect()

    callback(
        collect,
        topics,
        qos,
        None,
        hostname,
        port,
        client_id,
        keepalive,
        will,
        auth,
        tls,
        protocol,
        transport,
        clean_session,
        proxy_args,
    )
    if msg_count > 1:
        return messages
    return messages[0] if messages else None


def _on_connect(
    client: paho.Client, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None
) -> None:
    if reason_code != 0:
        # Out of loop_forever, to who called this module.
        raise MQTTException(paho.connack_string(reason_code))
    topics = userdata["topics"]
    for topic in topics if isinstance(topics, list) else [topics]:
        client.subscribe(topic, userdata["qos"])


def _on_message(client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
    userdata["callback"](client, userdata["userdata"], message)
