"""MQTT for Python on a Rust core.

`karere.Client` blocks, `karere.aio.Client` is for asyncio, and `karere.paho` is paho-mqtt's API.

    with karere.Client("localhost") as client:
        client.publish("iot/kitchen", "25.3", qos=1).wait()
"""

from ._client import Client, Messages, Stream
from ._enums import QoS, ReasonCode, RetainHandling, Version
from ._errors import (
    ClosedError,
    ConnectError,
    DisconnectedError,
    Error,
    PublishError,
    QueueFullError,
    RefusedError,
    StoreError,
    SubscribeError,
    TimeoutError,
)
from ._karere import Delivery, Message, Properties, Tls, Will, __version__
from ._options import ClientOptions, Subscription

__all__ = [
    "Client",
    "ClientOptions",
    "ClosedError",
    "ConnectError",
    "Delivery",
    "DisconnectedError",
    "Error",
    "Message",
    "Messages",
    "Properties",
    "PublishError",
    "QoS",
    "QueueFullError",
    "ReasonCode",
    "RefusedError",
    "RetainHandling",
    "StoreError",
    "Stream",
    "SubscribeError",
    "Subscription",
    "TimeoutError",
    "Tls",
    "Version",
    "Will",
    "__version__",
]
