"""The loops: the program's own thread or one of ours, and connecting again."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from ._names import MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, MQTT_ERR_NOMEM, MQTT_ERR_SUCCESS, MQTT_LOG_DEBUG, MQTT_LOG_ERR
from .enums import LogLevel, MQTTErrorCode, _ConnectionState

time_func = time.monotonic

_CONNECT_ASYNC = _ConnectionState.MQTT_CS_CONNECT_ASYNC
_CONNECTING = _ConnectionState.MQTT_CS_CONNECTING
_DISCONNECTING = _ConnectionState.MQTT_CS_DISCONNECTING
_DISCONNECTED = _ConnectionState.MQTT_CS_DISCONNECTED


class Loops:
    """How a client comes to work."""

    if TYPE_CHECKING:

        def reconnect(self) -> MQTTErrorCode: ...
        def _on_connect_failed(self) -> None: ...
        def _easy_log(self, level: LogLevel, fmt: str, *args: Any) -> None: ...
        def _report(self, error: BaseException) -> None: ...
        def _tell(self, **flags: Any) -> Any: ...
        def _wake(self) -> Any: ...
        def _abandon(self) -> Any: ...
        def _is_drained(self) -> Any: ...
        def _run(self, timeout: Any, stay: Any) -> Any: ...
        def _read(self) -> Any: ...
        def _write(self) -> Any: ...
        def _misc(self) -> Any: ...
        @property
        def _thread(self) -> threading.Thread | None: ...
        @_thread.setter
        def _thread(self, thread: threading.Thread | None) -> None: ...

    _sock: Any
    _host: str
    _state: _ConnectionState
    _client_id: Any
    _connecting: int | None
    _thread_terminate: bool
    _stirred: threading.Event
    _reconnect_on_failure: bool
    _reconnect_delay: float | None
    _reconnect_delay_mutex: Any
    _reconnect_min_delay: int
    _reconnect_max_delay: int

    def loop(self, timeout: float = 1.0, max_packets: int = 1) -> MQTTErrorCode:
        """Waits for the network at most `timeout` seconds and does what there is to be done.

        MQTT_ERR_NO_CONN without a connection. `max_packets` is 1.x's, and has no meaning. ValueError for a negative
        time.
        """
        if timeout < 0.0:
            raise ValueError("Invalid timeout.")
        return self._loop(timeout, False)

    def _loop(self, timeout: float = 1.0, stay: bool = False) -> MQTTErrorCode:
        if self._sock is None:
            text = f"Client is not connected. Socket: None). Last known Connection State: {self._state.name}"
            self._easy_log(MQTT_LOG_ERR, text)
            return MQTT_ERR_NO_CONN
        return MQTTErrorCode(self._run(timeout, stay))

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Reads what is there, for programs with a loop of their own around `socket()`."""
        return MQTT_ERR_NO_CONN if self._sock is None else MQTTErrorCode(self._read())

    def loop_write(self, max_packets: int = 1) -> MQTTErrorCode:
        """Writes what waits, for programs with a loop of their own: when `want_write()` says so."""
        return MQTT_ERR_NO_CONN if self._sock is None else MQTTErrorCode(self._write())

    def loop_misc(self) -> MQTTErrorCode:
        """Keep Alive, for programs with a loop of their own: about every second."""
        return MQTT_ERR_NO_CONN if self._sock is None else MQTTErrorCode(self._misc())

    def loop_forever(
        self, timeout: float = 1.0, max_packets: int = 1, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Runs the loop until `disconnect()` was called, connecting again whenever the connection is lost.

        Without `reconnect_on_failure` also until then. OSError when the connection that `connect_async()` asked for
        cannot be made, unless `retry_first_connection`. As the second argument True means that, a number is 1.x's
        `max_packets`.
        """
        if isinstance(max_packets, bool):
            retry_first_connection = max_packets
        self._connect_first(retry_first_connection)
        while True:
            rc = MQTT_ERR_SUCCESS
            while rc == MQTT_ERR_SUCCESS:
                rc = self._loop(timeout, True)
                if self._thread_terminate and self._is_drained():
                    rc = MQTT_ERR_NOMEM
            if self._is_to_end() or not self._reconnect_on_failure:
                self._abandon()
                return rc
            self._reconnect_wait()
            if self._is_to_end():
                self._abandon()
                return rc
            self._connect_again()

    def _connect_first(self, retry: bool) -> None:
        while self._state is _CONNECT_ASYNC and not self._thread_terminate:
            try:
                self.reconnect()
            except OSError:
                # Nobody has taken the wish back meanwhile.
                if self._state is _CONNECTING:
                    self._state = _CONNECT_ASYNC
                self._on_connect_failed()
                if not retry:
                    raise
                self._easy_log(MQTT_LOG_DEBUG, "Connection failed, retrying")
                self._reconnect_wait()

    def _connect_again(self) -> None:
        # Another thread may have connected, or be at it.
        if self._sock is not None or self._connecting not in (None, threading.get_ident()) or not self._host:
            return
        try:
            self.reconnect()
        except OSError:
            self._on_connect_failed()
            self._easy_log(MQTT_LOG_DEBUG, "Connection failed, retrying")

    def _is_to_end(self) -> bool:
        return self._thread_terminate or self._state in (_DISCONNECTING, _DISCONNECTED)

    def _reconnect_wait(self) -> None:
        """Waits before the next attempt, unless somebody connects, disconnects or ends the loop meanwhile."""
        with self._reconnect_delay_mutex:
            delay = self._reconnect_delay
            if delay is None:
                delay = self._reconnect_min_delay
            else:
                delay = min(delay * 2, self._reconnect_max_delay)
            self._reconnect_delay = delay
        until = time_func() + delay
        while True:
            self._stirred.clear()
            left = until - time_func()
            if left <= 0 or self._is_to_end() or self._sock is not None:
                return
            self._stirred.wait(left)

    def loop_start(self) -> MQTTErrorCode:
        """Runs `loop_forever()` in a thread of its own. MQTT_ERR_INVAL when there is one."""
        if self._thread is not None:
            return MQTT_ERR_INVAL
        self._thread_terminate = False
        self._tell(interrupt=False)
        name = self._client_id.decode(errors="replace") if isinstance(self._client_id, bytes) else self._client_id
        self._thread = threading.Thread(target=self._thread_main, name=f"paho-mqtt-client-{name}", daemon=True)
        self._thread.start()
        return MQTT_ERR_SUCCESS

    def loop_stop(self, force: bool = False) -> MQTTErrorCode:
        """Ends that thread when what was published is sent and acknowledged. MQTT_ERR_INVAL when there is none.

        `force` is 1.x's, and has no meaning.
        """
        thread = self._thread
        if thread is None:
            return MQTT_ERR_INVAL
        self._end_loop()
        if threading.current_thread() is not thread:
            thread.join()
        return MQTT_ERR_SUCCESS

    def _end_loop(self) -> None:
        self._thread_terminate = True
        self._tell(interrupt=True)
        self._stirred.set()
        self._wake()

    def _thread_main(self) -> None:
        self._tell(guarded=True)
        try:
            while True:
                try:
                    self.loop_forever(retry_first_connection=True)
                    return
                except Exception as error:
                    self._report(error)
                if self._is_to_end():
                    return
                self._reconnect_wait()
        finally:
            self._tell(guarded=False, interrupt=False)
            self._thread = None
