"""What can go wrong.

    Error
    +-- ConnectError (also a ConnectionError)       there is no connection
    |   +-- RefusedError                            the server said no: `reason`
    |   +-- DisconnectedError                       it was there, and is not made again
    +-- PublishError                                a message was refused or given up: `reason`
    |   +-- QueueFullError                          too many messages wait
    +-- SubscribeError                              every filter was refused: `reason`
    +-- StoreError (also an OSError)                the store cannot be used
    +-- ClosedError                                 the client was closed by its own program
    +-- TimeoutError (also the built-in one)        what was waited for did not come in time

What can never be right, such as a topic with a wildcard, is a ValueError or a TypeError.
"""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._enums import ReasonCode
    from ._karere import Properties


class Error(Exception):
    """Anything that goes wrong with a client."""

    reason: ReasonCode | None
    """The server's reason, where it gave one."""
    properties: Properties | None
    """The properties of the packet that said so, where it had some."""

    def __init__(
        self, message: str = "", reason: ReasonCode | None = None, properties: Properties | None = None
    ) -> None:
        text = properties.reason_string if properties is not None else None
        super().__init__(f"{message} ({text})" if text else message)
        self.reason = reason
        self.properties = properties


class ConnectError(Error, ConnectionError):
    """There is no connection."""


class RefusedError(ConnectError):
    """The server has refused the connection; `reason` says why."""


class DisconnectedError(ConnectError):
    """The connection was lost, and is not made again."""


class PublishError(Error):
    """A message was refused by the server, or given up before it was sent."""


class QueueFullError(PublishError):
    """Too many messages wait for the connection or for acknowledgements."""


class SubscribeError(Error):
    """The server has refused every filter, or has not answered."""


class StoreError(Error, OSError):
    """The client's store cannot be used: another process has it, or its disk fails or is full."""


class ClosedError(Error):
    """The client is closed."""


class TimeoutError(Error, builtins.TimeoutError):
    """What was waited for did not come in time."""
