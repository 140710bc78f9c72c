"""The client for asyncio, and for uvloop.

async with karere.aio.Client("localhost") as client:
    await client.subscribe("iot/#", qos=1)
    async for message in client.messages:
        print(message.topic, message.payload)
"""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import TYPE_CHECKING

from . import _karere, _process
from ._enums import QoS, ReasonCode, RetainHandling
from ._known import Known
from ._link import Link
from ._options import Subscriptions, names, subscriptions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self, Unpack

    from ._karere import Message, Properties
    from ._options import ClientOptions, Filters, Subscription

__all__ = ["Client", "Messages", "Stream"]

#: How long the end of a stream waits for the server, in seconds.
_UNSUBSCRIBE_SECONDS = 5.0


class Client(Known):
    """An MQTT client for asyncio.

        async with karere.aio.Client("localhost") as client:
            await client.publish("iot/kitchen", "25.3", qos=1)

    It runs in the event loop itself, without a thread: one wake-up reads a burst of messages, and what the tasks
    publish in one pass of the loop shares a write. A lost connection is made again, with the subscriptions and what
    is unacknowledged.

    A message at QoS 1 or 2 is acknowledged when the next one is asked for; with `manual_ack=True` when its `ack()` is
    called. A consumer that is behind holds up nobody else: QoS 1 and 2 are bounded by `receive_maximum`, and of QoS 0
    the oldest go first (`stream_bytes_max`).

    The first argument is a name, an IP address, or a URL such as `mqtt://user:password@host:1883`; for the others see
    `karere.ClientOptions`. Like everything of asyncio's, a client belongs to one event loop and its thread.
    """

    def __init__(self, host: str = "localhost", port: int | None = None, **options: Unpack[ClientOptions]) -> None:
        self._native: _karere.LoopClient = _karere.LoopClient(host, port, dict(options))
        self._link = Link(
            self._native,
            options.get("reconnect", True),
            options.get("reconnect_min", 1.0),
            options.get("reconnect_max", 120.0),
        )
        self._publish = self._native.publish
        self._subscriptions = Subscriptions()
        self._host = host
        self._pid = os.getpid()
        _process.watch(self)

    async def connect(self) -> None:
        """Connects, and returns once the server has accepted; `async with` does this.

        ConnectError when the server is not reached, RefusedError when it says no.
        """
        await self._link.connect()

    async def disconnect(
        self, reason: ReasonCode | int = ReasonCode.SUCCESS, *, properties: Properties | None = None
    ) -> None:
        """Writes what waits, says DISCONNECT and closes.

        Streams end, and who waits for an acknowledgement gets ClosedError.
        """
        await self._link.disconnect(reason, properties)

    async def publish(
        self,
        topic: str,
        payload: bytes | bytearray | memoryview | str | None = None,
        qos: QoS | int = QoS.AT_MOST_ONCE,
        retain: bool = False,
        *,
        properties: Properties | None = None,
    ) -> ReasonCode:
        """Publishes a message, and returns once the server has taken responsibility for it, with its reason code.

        That is on PUBACK at QoS 1, on PUBCOMP at QoS 2; at QoS 0 it returns once the message is on its way.

        It waits while more than `outbox_bytes_max` waits for the socket. Without a connection the message waits for the
        next one. To cancel it withdraws nothing: what was taken is sent.

        PublishError when the server refuses it or it is given up, QueueFullError when too many messages wait already.
        """
        pending = self._publish(topic, payload, qos, retain, properties)
        if pending is None:
            return ReasonCode.SUCCESS
        while pending is False:
            await self._link.room()
            pending = self._publish(topic, payload, qos, retain, properties)
        if pending is None or pending is True:
            # A task that only publishes leaves the others their turn.
            await asyncio.sleep(0)
            return ReasonCode.SUCCESS
        return await pending

    async def subscribe(
        self,
        filters: Filters,
        qos: QoS | int = QoS.AT_MOST_ONCE,
        *,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: RetainHandling | int = RetainHandling.SEND_AT_SUBSCRIBE,
        subscription_id: int | None = None,
        properties: Properties | None = None,
    ) -> tuple[ReasonCode, ...]:
        """Subscribes, and returns what the server granted, one reason code for each filter.

        The messages come to `messages`. SubscribeError when the server refuses every filter.
        """
        asked = subscriptions(filters, qos, no_local, retain_as_published, retain_handling)
        self._subscriptions.keep(asked)
        return await self._native.subscribe(asked, subscription_id, properties)

    async def unsubscribe(
        self, filters: str | Iterable[str], *, properties: Properties | None = None
    ) -> tuple[ReasonCode, ...]:
        """Ends subscriptions; one reason code for each filter, none on 3.x."""
        gone = names(filters)
        self._subscriptions.forget(gone)
        return await self._native.unsubscribe(gone, properties)

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
        """A subscription with a stream of its own, for an `async with` block: its messages come there alone.

        async with client.stream("alarm/#", qos=2) as alarms:
            async for alarm in alarms: ...
        """
        asked = subscriptions(filters, qos, no_local, retain_as_published, retain_handling)
        return Stream(self, asked, subscription_id, properties)

    @property
    def messages(self) -> Messages:
        """The messages that no `stream` is for, also those of a session that was resumed."""
        return Messages(self._native.rest())

    async def connected(self) -> None:
        """Waits until there is a connection that the server has accepted. ClosedError when there will be none."""
        await self._link.connected()

    @property
    def session_present(self) -> bool:
        """Whether the server had the session when it last accepted a connection."""
        return self._link.session_present

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.disconnect()

    def __del__(self) -> None:
        link: Link | None = getattr(self, "_link", None)
        if link is None or not link.is_wanted or self._pid != os.getpid():
            return
        warnings.warn("an MQTT client was not closed: use `async with`", ResourceWarning, source=self, stacklevel=2)
        link.abandon()

    def __repr__(self) -> str:
        state = "connected" if self.is_connected else "not connected"
        return f"<karere.aio.Client {self._host}, {state}>"

    def _sockets(self) -> list[int]:
        return [self._native.fileno(), self._link.socket]

    def _at_exit(self) -> None:
        if self._link.is_wanted:
            self._link.abort()


class Messages:
    """Messages one after the other: an asynchronous iterator that ends when the client is closed.

    Each `async for` loop is a consumer of its own: several share the messages.
    """

    __slots__ = ("_held", "_next")

    def __init__(self, native: _karere.LoopStream | None) -> None:
        self._hold(native)

    def _hold(self, native: _karere.LoopStream | None) -> None:
        self._held = native
        # Looked up once, not for every message.
        self._next = native.next if native is not None else self._refuse

    def _refuse(self) -> Message | None:
        raise RuntimeError("this stream is open in its `async with` block only")

    def __aiter__(self) -> Messages:
        if self._held is None:
            self._refuse()
        return Messages(self._held and self._held.clone())

    async def __anext__(self) -> Message:
        message = self._next()
        if message is None:
            return await self._later()
        return message

    async def _later(self) -> Message:
        native = self._held
        assert native is not None
        loop = asyncio.get_running_loop()
        while True:
            end = native.end()
            if end is False:
                raise StopAsyncIteration
            if end is not None:
                raise end
            waiter = loop.create_future()
            if native.wait_with(waiter):
                try:
                    await waiter
                except BaseException:
                    native.forget(waiter)
                    raise
            message = native.next()
            if message is not None:
                return message

    def __len__(self) -> int:
        """Messages that are there already."""
        return 0 if self._held is None else len(self._held)


class Stream(Messages):
    """The messages of one subscription; see `Client.stream`."""

    __slots__ = ("_asked", "_client", "_properties", "_subscription_id", "granted")

    granted: tuple[ReasonCode, ...]
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
        self.granted = ()

    async def __aenter__(self) -> Self:
        native = self._client._native
        # Before the server is asked: retained messages come right behind its answer.
        held = native.join([asked.filter for asked in self._asked])
        self._client._subscriptions.join(self._asked)
        self._hold(held)
        try:
            self.granted = await native.subscribe(self._asked, self._subscription_id, self._properties)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is None:
            return
        native = self._client._native
        gone = self._client._subscriptions.leave(self._asked)
        try:
            if gone and self._client._link.is_wanted:
                answer = native.unsubscribe(gone, None)
                # Nobody looks at it, whatever it says.
                answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
                if native.is_connected:
                    await asyncio.wait([answer], timeout=_UNSUBSCRIBE_SECONDS)
        finally:
            self._hold(None)
            native.leave(held)
