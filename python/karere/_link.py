"""An asyncio client's connection: the event loop's side of it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from functools import partial
from typing import TYPE_CHECKING

from ._enums import ReasonCode
from ._errors import ClosedError, Error

if TYPE_CHECKING:
    from typing import Any

    from ._karere import LoopClient, Opened, Properties

_logger = logging.getLogger("karere")

#: How long the server may take to close after our DISCONNECT, in seconds.
_LINGER_SECONDS = 1.0
#: How long what waits for the socket may take before DISCONNECT, in seconds.
_FAREWELL_SECONDS = 5.0


class Link:
    """Gives a native client the event loop: readiness, time, and connections again.

    It does not know the client that it is for, so that one nobody refers to any more can go.
    """

    def __init__(self, native: LoopClient, reconnects: bool, wait_min: float, wait_max: float) -> None:
        self._native = native
        self._reconnects = reconnects
        self._wait_min = wait_min
        self._wait_max = wait_max
        self._attempts = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.is_wanted = False
        self.session_present = False
        #: A duplicate of the native socket: the loop watches one that nobody else closes.
        self.socket = -1
        self._writing = False
        self._timer: asyncio.TimerHandle | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        #: The server's answer to the attempt that is being made.
        self._answer: asyncio.Future[None] | None = None
        #: The end of the connection, once it is asked for.
        self._gone: asyncio.Future[None] | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self._room: list[asyncio.Future[None]] = []

    async def connect(self) -> None:
        """The first connection, which must succeed."""
        if self.is_wanted:
            raise RuntimeError("this client is connected already")
        loop = self._loop = asyncio.get_running_loop()
        self._native.bind(loop.create_future, partial(loop.call_soon, self._flush))
        self.is_wanted = True
        try:
            await self._attempt()
        except BaseException:
            self.abort()
            raise

    async def disconnect(self, reason: int, properties: Properties | None) -> None:
        """Says DISCONNECT behind what waits, and closes when the server has."""
        if not self.is_wanted:
            return
        self._leave()
        loop = asyncio.get_running_loop()
        try:
            if self.socket >= 0:
                self._gone = loop.create_future()
                self._handle(self._native.disconnect(reason, properties))
                self._watch_writing()
                await asyncio.wait([self._gone], timeout=_FAREWELL_SECONDS)
            if self.socket >= 0:
                await self._linger(loop)
        finally:
            self._close_socket()
            self._close()

    def abort(self) -> None:
        """Closes at once: with DISCONNECT if the socket takes it."""
        self._leave()
        if self.socket >= 0:
            self._native.disconnect(ReasonCode.SUCCESS, None)
        self._close_socket()
        self._close()

    def abandon(self) -> None:
        """`abort` from wherever the client was forgotten."""
        loop = self._loop
        if loop is None or loop.is_closed() or asyncio._get_running_loop() is loop:
            self.abort()
        else:
            loop.call_soon_threadsafe(self.abort)

    async def connected(self) -> None:
        """Waits for a connection that the server has accepted."""
        while not self._native.is_connected:
            if not self.is_wanted:
                raise ClosedError("the client is closed")
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.append(watcher)
            await watcher

    async def room(self) -> None:
        """Waits until the socket has taken what waits for it."""
        room = asyncio.get_running_loop().create_future()
        self._room.append(room)
        self._watch_writing()
        await room

    async def _attempt(self) -> None:
        loop = asyncio.get_running_loop()
        # In another thread: to look up a name may block. If we are cancelled meanwhile, it is closed as it is dropped.
        opened = await loop.run_in_executor(None, self._native.open)
        answer = self._answer = loop.create_future()
        try:
            self._attach(opened)
            await answer
        except BaseException:
            # Whether refused or cancelled: this connection is not used.
            if self.socket >= 0:
                self._native.disconnect(ReasonCode.SUCCESS, None)
                self._close_socket()
            raise
        finally:
            self._answer = None

    async def _connect_again(self) -> None:
        while self.is_wanted:
            wait = min(self._wait_max, self._wait_min * 2**self._attempts)
            self._attempts = min(self._attempts + 1, 30)
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))
            try:
                return await self._attempt()
            except (Error, OSError) as error:
                _logger.warning("connecting again failed: %s", error)

    def _attach(self, opened: Opened) -> None:
        assert self._loop is not None
        events = self._native.attach(opened)
        socket = self._native.fileno()
        if socket >= 0:
            self.socket = os.dup(socket)
            self._loop.add_reader(self.socket, self._on_readable)
            if self._native.wake_fileno() >= 0:
                self._loop.add_reader(self._native.wake_fileno(), self._flush)
            self._watch_writing()
            self._set_timer()
        self._handle(events)

    def _on_readable(self) -> None:
        events = self._native.read()
        if events is not None:
            self._handle(events)

    def _on_more(self) -> None:
        if self.socket >= 0:
            self._on_readable()

    def _on_writable(self) -> None:
        self._stop_writing()
        self._handle(self._native.resume())
        self._watch_writing()

    def _flush(self) -> None:
        if not self.is_wanted:
            return
        events = self._native.flush()
        if events is not None:
            self._handle(events)
        self._watch_writing()

    def _watch_writing(self) -> None:
        """Has the rest written when the socket takes it, or tells who waits for that that it has."""
        if self._native.is_blocked():
            if not self._writing and self.socket >= 0 and self._loop is not None:
                self._loop.add_writer(self.socket, self._on_writable)
                self._writing = True
        elif self._room:
            self._set(self._room)

    def _stop_writing(self) -> None:
        if self._writing and self._loop is not None:
            self._loop.remove_writer(self.socket)
        self._writing = False

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        patience = self._native.patience()
        if patience is not None and self._loop is not None:
            self._timer = self._loop.call_later(patience, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._handle(self._native.tick())
        self._watch_writing()
        self._set_timer()

    def _handle(self, events: list[tuple[Any, ...]] | None) -> None:
        for name, *arguments in events or ():
            if name == "connected":
                self._on_connected(*arguments)
            elif name == "closed":
                self._on_closed(*arguments)
            elif name == "more" and self._loop is not None:
                self._loop.call_soon(self._on_more)
            elif name == "session_lost":
                _logger.info("the server had lost the session: subscribing again")
            elif name == "refused":
                _logger.warning("the server refused to subscribe again: %s", arguments[0])

    def _on_connected(self, session_present: bool, properties: Properties) -> None:
        self.session_present = session_present
        self._attempts = 0
        self._set_timer()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        # What comes from here on is no answer, even before whoever waits for that has its turn.
        self._answer = None
        self._set(self._watchers)

    def _on_closed(self, error: Error, requested: bool) -> None:
        if self._gone is not None and not self._gone.done():
            self._stop_writing()
            self._gone.set_result(None)
            return
        self._close_socket()
        if self._answer is not None:
            if not self._answer.done():
                self._answer.set_exception(error)
        elif self.is_wanted and self._reconnects and self._loop is not None:
            _logger.warning("%s; connecting again", error)
            self._reconnecting = self._loop.create_task(self._connect_again())
        elif self.is_wanted:
            self._leave()
            self._close(lost=True)

    async def _linger(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reads on until the server has closed: else what it has not read would be lost with our unread bytes."""
        ended = loop.create_future()

        def discard() -> None:
            try:
                data = os.read(self.socket, 65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data and not ended.done():
                ended.set_result(None)

        # First removed: uvloop has given up on a socket that had an error, and says so only here.
        loop.remove_reader(self.socket)
        loop.add_reader(self.socket, discard)
        await asyncio.wait([ended], timeout=_LINGER_SECONDS)

    def _leave(self) -> None:
        """No connection is wanted any more."""
        self.is_wanted = False
        if self._reconnecting is not None:
            self._reconnecting.cancel()
            self._reconnecting = None

    def _close_socket(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.socket < 0:
            return
        self._stop_writing()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self.socket)
            if self._native.wake_fileno() >= 0:
                self._loop.remove_reader(self._native.wake_fileno())
        os.close(self.socket)
        self.socket = -1

    def _close(self, lost: bool = False) -> None:
        self._gone = None
        self._native.close(lost)
        self._set(self._room)
        self._set(self._watchers)

    @staticmethod
    def _set(waiting: list[asyncio.Future[None]]) -> None:
        for future in waiting:
            if not future.done():
                future.set_result(None)
        waiting.clear()
