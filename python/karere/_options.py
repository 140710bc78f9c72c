"""What both clients are told, and how a subscription is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypedDict, Union

from ._enums import QoS, RetainHandling

if TYPE_CHECKING:
    import os
    from typing import Literal

    from ._enums import Version
    from ._karere import Properties, Tls, Will


class ClientOptions(TypedDict, total=False):
    """The keyword arguments of `karere.Client` and `karere.aio.Client`. Times are in seconds."""

    client_id: str
    """The Client Identifier; without one the server gives one."""
    version: Version | int
    """The protocol's version; 5."""
    username: str | None
    """User Name."""
    password: str | bytes | None
    """Password."""
    tls: Tls | bool
    """TLS: True for the system's authorities, or a `Tls`. The port is then 8883 where none is given."""
    clean_start: bool
    """Whether the first connection starts a new session (3.x: whether every one does); True."""
    session_expiry: int
    """Seconds that the server keeps the session after the connection has gone (version 5); 0."""
    keep_alive: int
    """The Keep Alive; 60. 0 turns it off."""
    will: Will | None
    """What the server publishes when the client goes without DISCONNECT."""
    properties: Properties | None
    """Further properties of CONNECT (version 5)."""
    connect_timeout: float
    """How long connecting may take; 5."""
    reconnect: bool
    """Whether a lost connection is made again, with the subscriptions and what is unacknowledged; True."""
    reconnect_min: float
    """The first wait before that; 1. Each is twice the one before, and half of it is left to chance."""
    reconnect_max: float
    """The longest wait; 120."""
    resubscribe: bool
    """Whether subscriptions are made again when the server has lost the session; True."""
    manual_ack: bool
    """Whether messages are acknowledged by `Message.ack()` only; False."""
    receive_maximum: int
    """How many unacknowledged QoS 1 and 2 messages the server may send; 1,024 (version 5)."""
    maximum_packet_size: int
    """Bytes of the largest packet that is accepted; 16 MiB."""
    topic_alias_maximum: int
    """How many topic aliases the server may use; 16 (version 5)."""
    outbound_aliases: bool
    """Whether topics get aliases by themselves, as far as the server allows; False (version 5)."""
    inflight_max: int
    """How many QoS 1 and 2 messages may be on their way to the server; 1,024."""
    queue_count_max: int
    """How many messages may wait, offline or for their way to be free; 100,000. The oldest QoS 0 one goes first."""
    queue_bytes_max: int
    """The same in bytes; 64 MiB."""
    queue_qos0: bool
    """Whether QoS 0 messages wait for a connection; True. Else publishing them fails without one."""
    outbox_bytes_max: int
    """Bytes that may wait for the socket before `publish` waits; 256 KiB."""
    stream_bytes_max: int
    """Bytes of QoS 0 messages that one stream keeps for its consumer; 16 MiB. The oldest go first."""
    store: str | os.PathLike[str] | None
    """A folder that keeps the session over the end of the process; none. `clean_start` is then False and
    `session_expiry` a week, unless they are given."""
    store_bytes_max: int
    """Bytes of messages that the store keeps; 64 MiB. Beyond it `publish` waits, or without a connection fails."""
    durability: Literal["fsync", "os", "none"]
    """What a message in the store outlives before it is sent: "fsync" (the loss of power), "os" (the end of the process
    in any way), "none" (the end of a process that closes its client)."""


class Subscription(NamedTuple):
    """One filter with its options, for a `subscribe` of several."""

    filter: str
    qos: QoS | int = QoS.AT_MOST_ONCE
    no_local: bool = False
    """Leave out what this client publishes itself (version 5)."""
    retain_as_published: bool = False
    """Keep the retain flag as it was published (version 5)."""
    retain_handling: RetainHandling | int = RetainHandling.SEND_AT_SUBSCRIBE
    """Which retained messages come (version 5)."""


#: What `subscribe` takes: a filter, or several, each alone, with its QoS, or as a `Subscription`.
Filters = Union[str, Iterable[Union[str, "tuple[str, int]", Subscription]]]


def subscriptions(
    filters: Filters, qos: int, no_local: bool, retain_as_published: bool, retain_handling: int
) -> list[Subscription]:
    """The filters with their options; those that say nothing of their own have the arguments'."""

    def one(entry: str | tuple[str, int] | Subscription) -> Subscription:
        if isinstance(entry, Subscription):
            return entry
        name, level = (entry, qos) if isinstance(entry, str) else entry
        return Subscription(name, level, no_local, retain_as_published, retain_handling)

    return [one(filters)] if isinstance(filters, str) else [one(entry) for entry in filters]


class Subscriptions:
    """Who has asked for which filter: the last stream that leaves ends a subscription."""

    def __init__(self) -> None:
        self._kept: set[str] = set()
        self._streams: Counter[str] = Counter()

    def keep(self, asked: list[Subscription]) -> None:
        """The program has subscribed without a stream."""
        self._kept.update(entry.filter for entry in asked)

    def forget(self, filters: list[str]) -> None:
        """The program has unsubscribed."""
        self._kept.difference_update(filters)

    def join(self, asked: list[Subscription]) -> None:
        """A stream begins."""
        self._streams.update(entry.filter for entry in asked)

    def leave(self, asked: list[Subscription]) -> list[str]:
        """A stream ends: the filters that nobody needs any more."""
        self._streams.subtract(entry.filter for entry in asked)
        unique = dict.fromkeys(entry.filter for entry in asked)
        return [name for name in unique if self._streams[name] <= 0 and name not in self._kept]


def names(filters: str | Iterable[str]) -> list[str]:
    """The filters to unsubscribe from."""
    return [filters] if isinstance(filters, str) else list(filters)
