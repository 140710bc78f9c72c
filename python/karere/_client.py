"""The blocking client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _karere, _process
from ._enums import QoS, ReasonCode, RetainHandling
from ._known import Known
from ._options import Subscriptions, names, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._karere import Delivery, Message, Properties
    from ._options import ClientOptions, Filters, Subscription

#: How long leaving the `with` block waits for what was published, in seconds.
DRAIN_SECONDS = 10.0


class Client(Known):
    """An MQTT client that blocks, for programs with threads or none.

        with karere.Client("localhost") as client:
            client.subscribe("iot/#", qos=1)
            client.publish("iot/kitchen", "25.3", qos=1).wait()
            for message in client:
                print(message.topic, message.payload)

    The connection is kept up by a thread of the client's own: a lost one is made again, with the subscriptions
    and what is unacknowledged. All methods may be called from any thread.

    A message at QoS 1 or 2 is acknowledged when the next one is asked for; with `manual_ack=True` when its `ack()` is
    called. Leaving the `with` block waits up to ten seconds until what was published is acknowledged, and says
    DISCONNECT; after an exception it does not wait. A client that nobody refers to any more says DISCONNECT too.

    The first argument is a name, an IP address, or a URL such as `mqtt://user:password@host:1883`; for the others see
    `ClientOptions`.
    """

    def __init__(self, host: str = "localhost", port: int | None = None, **options: Unpack[ClientOptions]) -> None:
        self._native: _karere.ThreadClient = _karere.ThreadClient(host, port, dict(options))
        self._subscriptions = Subscriptions()
        self._host = host
        _process.watch(self)

    def connect(self) -> None:
        """Connects, and returns once the server has accepted; `with` does this.

        ConnectError when the server is not reached, RefusedError when it says no.
        """
        self._native.connect()

    def disconnect(
        self, reason: ReasonCode | int = ReasonCode.SUCCESS, *, properties: Properties | None = None
    ) -> None:
        """Writes what waits, says DISCONNECT and closes.

        Streams end, and who waits for an acknowledgement gets ClosedError.
        """
        self._native.disconnect(reason, properties)

    def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview | str | None = None,
        qos: QoS | int = QoS.AT_MOST_ONCE,
        retain: bool = False,
        *,
        properties: Properties | None = None,
    ) -> Delivery:
        """Publishes a message; `wait()` of what is returned blocks until the server has taken it.

        It blocks only while more than `outbox_bytes_max` waits for the socket, or too many messages wait for their
        way to be free. Without a connection the message waits for the next one; QueueFullError when too many do.
        """
        return self._native.publish(topic, payload, qos, retain, properties)

    def subscribe(
        self,
        filters: Filters,
        qos: QoS | int = QoS.AT_MOST_ONCE,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: RetainHandling | int = RetainHandling.SEND_AT_SUBSCRIBE,
        subscription_id: int | None = None,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> tuple[ReasonCode, ...]:
        """Subscribes, waits for the server, and returns what it granted, one reason code for each filter.

        The messages come to `messages`. SubscribeError when the server refuses every filter, TimeoutError after
        `timeout` seconds.
        """
        asked = subscriptions(filters, qos, no_local, retain_as_published, retain_handling)
        self._subscriptions.keep(asked)
        return self._native.subscribe(asked, subscription_id, properties, timeout)

    def unsubscribe(
        self,
        filters: str | Iterable[str],
        *,
        properties: Properties | None = None,
        timeout: float | None = None,
    ) -> tuple[ReasonCode, ...]:
        """Ends subscriptions, and waits for the server; one reason code for each filter, none on 3.x."""
        gone = names(filters)
        self._subscriptions.forget(gone)
        return self._native.unsubscribe(gone, properties, timeout)

    def stream(
        self,
        filters: Filters,
        qos: QoS | int = QoS.AT_MOST_ONCE,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: RetainHandling | int = RetainHandling.SEND_AT_SUBSCRIBE,
        subscription_id: int | None = None,
        properties: Properties | None = None,
    ) -> Stream:
        """A subscription with a stream of its own, for a `with` block: its messages come there and not to `messages`.

        with client.stream("alarm/#", qos=2) as alarms:
            for alarm in alarms: ...
        """
        asked = subscriptions(filters, qos, no_local, retain_as_published, retain_handling)
        return Stream(self, asked, subscription_id, properties)

    @property
    def messages(self) -> Messages:
        """The messages that no `stream` is for, also those of a session that was resumed."""
        return Messages(self._native.rest())

    def drain(self, timeout: float | None = None) -> bool:
        """Waits until all that was published is written, and acknowledged at QoS 1 and 2; False when time ran out."""
        return self._native.drain(timeout)

    @property
    def session_present(self) -> bool:
        """Whether the server had the session when it last accepted a connection."""
        return self._native.session_present

    def __iter__(self) -> Iterator[Message]:
        return self._native.rest()

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._native.drain(DRAIN_SECONDS)
        self.disconnect()

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<karere.Client {self._host}, {state}>"

    def _sockets(self) -> list[int]:
        return [self._native.fileno()]

    def _at_exit(self) -> None:
        if self.is_connected:
            self._native.drain(DRAIN_SECONDS)
        self.disconnect()


class Messages:
    """Messages one after the other: an iterator that ends when the client is closed.

    Each `for` loop is a consumer of its own: several share the messages.
    """

    def __init__(self, native: _karere.ThreadStream | None) -> None:
        self._held = native

    @property
    def _native(self) -> _karere.ThreadStream:
        if self._held is None:
            raise RuntimeError("this stream is open in its `with` block only")
        return self._held

    def get(self, timeout: float | None = None) -> Message | None:
        """The next message; None once the client is closed, TimeoutError after `timeout` seconds."""
        return self._native.next(timeout)

    def __iter__(self) -> Iterator[Message]:
        return self._native.clone()

    def __next__(self) -> Message:
        return next(self._native)

    def __len__(self) -> int:
        """Messages that are there already."""
        return len(self._native)


class Stream(Messages):
    """The messages of one subscription; see `Client.stream`."""

    granted: tuple[ReasonCode, ...] = ()
    """What the server granted, one reason code for each filter."""

    def __init__(
        self,
        client: Client,
        asked: list[Subscription],
        subscription_id: int | None,
        properties: Properties | None,
    ) -> None:
        super().__init__(None)
        self._client = client
        self._asked = asked
        self._subscription_id = subscription_id
        self._properties = properties

    def __enter__(self) -> Self:
        native = self._client._native
        # Before the server is asked: retained messages come right behind its answer.
        held = native.join([asked.filter for asked in self._asked])
        self._client._subscriptions.join(self._asked)
        try:
            self.granted = native.subscribe(self._asked, self._subscription_id, self._properties, None)
        except BaseException:
            self._client._subscriptions.leave(self._asked)
            native.leave(held)
            raise
        self._held = held
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        native, held = self._client._native, self._native
        gone = self._client._subscriptions.leave(self._asked)
        try:
            if gone and native.is_connected:
                native.unsubscribe(gone, None, 5.0)
        finally:
            native.leave(held)
