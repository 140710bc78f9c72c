"""paho-mqtt's client on karere's core.

What runs for each message is native (`karere._karere`); here is how connections are made and ended, and what the
native half calls.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import socket
import ssl
import sys
import threading
import time
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Union, cast, overload

from karere import _karere

from . import _requests
from ._callbacks import Callbacks
from ._log import Logging
from ._loop import Loops, time_func
from ._names import *  # noqa: F403
from ._names import (
    CONNACK_REFUSED_IDENTIFIER_REJECTED,
    CONNACK_REFUSED_PROTOCOL_VERSION,
    LOGGING_LEVEL,
    MQTT_BRIDGE,
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_CLIENT,
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_CONN_REFUSED,
    MQTT_ERR_INVAL,
    MQTT_ERR_KEEPALIVE,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_NOMEM,
    MQTT_ERR_PROTOCOL,
    MQTT_ERR_SUCCESS,
    MQTT_LOG_DEBUG,
    MQTT_LOG_ERR,
    CallbackOnMessage,
    CleanStartOption,
    ConnectFlags,
    DisconnectFlags,
    HTTPHeader,
    MQTTv5,
    MQTTv31,
    MQTTv311,
    PayloadType,
    WebsocketConnectionError,
    WebSocketHeaders,
    base62,
    connack_string,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    error_string,
    topic_matches_sub,
)
from ._settings import Settings
from ._transport import make_socket
from ._websocket import WebsocketWrapper
from .enums import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MessageState,
    MessageType,
    MQTTErrorCode,
    MQTTProtocolVersion,
    PahoClientMode,
    _ConnectionState,
)
from .exception import MalformedPacket
from .matcher import MQTTMatcher
from .packettypes import PacketTypes
from .properties import Properties
from .reasoncodes import ReasonCode, ReasonCodes
from .subscribeoptions import SubscribeOptions

try:
    import dns.exception
    import dns.resolver

    HAVE_DNS = True
except ImportError:
    HAVE_DNS = False

MQTTMessage = _karere.MQTTMessage
MQTTMessageInfo = _karere.MQTTMessageInfo

_WebsocketWrapper = WebsocketWrapper

_NEW = _ConnectionState.MQTT_CS_NEW
_CONNECT_ASYNC = _ConnectionState.MQTT_CS_CONNECT_ASYNC
_CONNECTING = _ConnectionState.MQTT_CS_CONNECTING
_CONNECTED = _ConnectionState.MQTT_CS_CONNECTED
_LOST = _ConnectionState.MQTT_CS_CONNECTION_LOST
_DISCONNECTING = _ConnectionState.MQTT_CS_DISCONNECTING
_DISCONNECTED = _ConnectionState.MQTT_CS_DISCONNECTED

_ARGUMENTS_1 = ("client_id", "clean_session", "userdata", "protocol", "transport", "reconnect_on_failure")
_ARGUMENTS = ("callback_api_version", *_ARGUMENTS_1, "manual_ack")

_clients: weakref.WeakSet[Client] = weakref.WeakSet()


class Client(Callbacks, Settings, Loops, Logging, _karere.PahoBase):
    """A client of an MQTT broker.

    Connect with `connect()`; let a loop work with `loop_start()` (a thread of its own), `loop_forever()` (this one) or
    `loop()` now and then; `subscribe()`, `publish()`, and `disconnect()` in the end. What happens is told to callbacks
    (`on_connect`, `on_message` ...): functions that are assigned, or methods of a subclass.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Makes a client that is not connected.

        Arguments, in this order or by name: `callback_api_version` (VERSION1), `client_id`, `clean_session`,
        `userdata`, `protocol` (MQTTv311), `transport` ("tcp", "websockets" or "unix"), `reconnect_on_failure` (True),
        `manual_ack`, and by name only `store`, which paho lacks: a folder that keeps the session over the end of the
        process. What programs for 1.x write works too: `Client("id", True, userdata, MQTTv311, "tcp", True)`,
        whose first argument is the client id. ValueError for a transport that is none, and for a `clean_session`
        that does not fit.
        """
        of_1 = bool(args) and (args[0] is None or isinstance(args[0], (str, bytes)))
        names = _ARGUMENTS_1 if of_1 else _ARGUMENTS
        if len(args) > len(names):
            raise TypeError(f"Client takes at most {len(names)} arguments, not {len(args)}")
        for name, value in zip(names, args):
            if name in options:
                raise TypeError(f"Client got multiple values for argument {name!r}")
            options[name] = value
        # A program that says nothing of the version is left in peace.
        self._set_up("callback_api_version" in options, **options)

    def _set_up(
        self,
        asked_for: bool,
        callback_api_version: CallbackAPIVersion = CallbackAPIVersion.VERSION1,
        client_id: Any = "",
        clean_session: bool | None = None,
        userdata: Any = None,
        protocol: MQTTProtocolVersion = MQTTv311,
        transport: str = "tcp",
        reconnect_on_failure: bool = True,
        manual_ack: bool = False,
        *,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        transport = transport.lower()
        if transport == "websocket":
            transport = "websockets"
        if transport not in ("websockets", "tcp", "unix"):
            raise ValueError(f'transport must be "websockets", "tcp" or "unix", not {transport}')
        if callback_api_version not in CallbackAPIVersion:
            raise ValueError("Unsupported callback API version")
        if callback_api_version == CallbackAPIVersion.VERSION1 and asked_for:
            warnings.warn("Callback API version 1 is deprecated, update to latest version", DeprecationWarning, 3)
        if protocol == MQTTv5:
            if clean_session is not None:
                raise ValueError("Clean session is not used for MQTT 5.0")
        elif clean_session is None:
            # A session that is kept here is to be kept there.
            clean_session = store is None or client_id in ("", None)
        elif not clean_session and client_id in ("", None):
            raise ValueError("A client id must be provided if clean session is False.")

        identifier = _client_id(client_id, protocol)
        found = self._renew(store, bytes(identifier))
        self._store = store
        self._make_locks()
        self._callback_api_version = callback_api_version
        self._tell(version2=callback_api_version == CallbackAPIVersion.VERSION2)
        self._client_id: Any = identifier
        self._clean_session = clean_session
        self._clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY
        # The first one of the session that the store has, if it has one.
        self._has_session = found
        self._mqttv5_first_connect = not found
        self._connect_properties: Properties | None = None
        self._userdata = userdata
        self._protocol = protocol
        self._transport = transport
        self._reconnect_on_failure = reconnect_on_failure
        self._make_options(manual_ack)
        for name in self._names:
            setattr(self, "_" + name, None)
        self._filtered: dict[str, CallbackOnMessage] = {}
        self._thread_terminate = False
        self.__dict__.setdefault("_loop_thread", None)
        self._connecting: int | None = None
        self._registered_write = False
        #: With True, what callbacks raise is logged and goes no further.
        self.suppress_exceptions = False
        self._tell_callbacks()
        self._tell_limits()
        _clients.add(self)

    def _make_locks(self) -> None:
        """Nothing here needs them; programs exist that put their own in the place of paho's."""
        self._in_callback_mutex: Any = threading.Lock()
        self._callback_mutex: Any = threading.RLock()
        self._msgtime_mutex: Any = threading.Lock()
        self._out_message_mutex: Any = threading.RLock()
        self._in_message_mutex: Any = threading.Lock()
        self._reconnect_delay_mutex: Any = threading.Lock()
        self._mid_generate_mutex: Any = threading.Lock()
        self._stirred = threading.Event()

    def _make_options(self, manual_ack: bool) -> None:
        self._sock: Any = None
        self._state = _NEW
        self._host = ""
        self._port = 1883
        self._bind_address = ""
        self._bind_port = 0
        self._keepalive = 60
        self._connect_timeout = 5.0
        self._client_mode = MQTT_CLIENT
        self._username: bytes | None = None
        self._password: Any = None
        self._proxy: Any = {}
        self._ssl = False
        self._ssl_context = None
        self._tls_insecure = False
        self._websocket_path = "/mqtt"
        self._websocket_extra_headers: WebSocketHeaders | None = None
        self._logger: logging.Logger | None = None
        self._max_inflight_messages = 20
        self._max_queued_messages = 0
        self._reconnect_min_delay = 1
        self._reconnect_max_delay = 120
        self._reconnect_delay = None
        self.will_clear()
        self.manual_ack_set(manual_ack)

    def __del__(self) -> None:
        try:
            self._sock_close()
        except Exception:
            pass

    def reinitialise(self, client_id: str = "", clean_session: bool = True, userdata: Any = None) -> None:
        """Begins anew, as if the client had just been made."""
        self._sock_close()
        Client.__init__(self, self._callback_api_version, client_id, clean_session, userdata, store=self._store)

    # What other libraries read or assign, and the native half must know.

    @property
    def _thread(self) -> threading.Thread | None:
        return self.__dict__.get("_loop_thread")

    @_thread.setter
    def _thread(self, thread: threading.Thread | None) -> None:
        self.__dict__["_loop_thread"] = thread
        self._tell(threaded=thread is not None)

    @property
    def _protocol(self) -> MQTTProtocolVersion:
        return cast(MQTTProtocolVersion, self.__dict__["_protocol_version"])

    @_protocol.setter
    def _protocol(self, protocol: MQTTProtocolVersion) -> None:
        self.__dict__["_protocol_version"] = protocol
        self._tell(v5=protocol == MQTTv5)

    def _tell_callbacks(self) -> None:
        register = self._has("on_socket_register_write")
        self._tell(
            on_publish=self._has("on_publish"),
            external=self.__dict__.get("_on_socket_register_write") is not None,
            watched=register or self._has("on_socket_unregister_write"),
        )
        self._tell_limits()

    def _tell_limits(self) -> None:
        told = self._logger is not None or self._has("on_log")
        self._limit(self._max_inflight_messages, self._max_queued_messages, told)

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments the callbacks get."""
        return self._callback_api_version

    # Connecting

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker and sends CONNECT. Its answer comes with a loop, and is told to `on_connect`.

        `keepalive` is seconds. `clean_start` and `properties` are MQTT 5.0's. ValueError for arguments that are none,
        OSError when there is no connection.
        """
        if self._protocol == MQTTv5:
            self._mqttv5_first_connect = not self._has_session
        else:
            if clean_start != MQTT_CLEAN_START_FIRST_ONLY:
                raise ValueError("Clean start only applies to MQTT V5")
            if properties:
                raise ValueError("Properties only apply to MQTT V5")
        self.connect_async(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return self.reconnect()

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> None:
        """Remembers where to connect to; `loop_start()` or `loop_forever()` does it. Arguments as `connect()`."""
        if bind_port < 0:
            raise ValueError("Invalid bind port number.")
        # Setting these is refused on a connection; connecting to another place is not.
        self._sock_close()
        self._state = _NEW
        self.host = host
        self.port = port
        self.keepalive = keepalive
        self._bind_address = bind_address
        self._bind_port = bind_port
        self._clean_start = clean_start
        self._connect_properties = properties
        self._state = _CONNECT_ASYNC
        self._stirred.set()

    def connect_srv(
        self,
        domain: str | None = None,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: CleanStartOption = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Properties | None = None,
    ) -> MQTTErrorCode:
        """Connects to a broker that DNS names for `domain`, or for the domain of this machine. Needs dnspython."""
        if not HAVE_DNS:
            raise ValueError('No DNS resolver library found, try "pip install dnspython".')
        if domain is None:
            domain = socket.getfqdn().partition(".")[2]
        service = "_secure-mqtt" if self._ssl else "_mqtt"
        try:
            answers = dns.resolver.resolve(f"{service}._tcp.{domain}", dns.rdatatype.SRV)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.NoNameservers) as error:
            raise ValueError(f"No answer/NXDOMAIN for SRV in {domain}") from error
        for answer in answers:
            host = answer.target.to_text().rstrip(".")
            try:
                return self.connect(host, answer.port, keepalive, bind_address, bind_port, clean_start, properties)
            except Exception as error:
                self._easy_log(MQTT_LOG_DEBUG, "%s does not answer: %s", host, error)
        raise ValueError("No SRV hosts responded")

    def reconnect(self) -> MQTTErrorCode:
        """Connects again to where `connect()` or `connect_async()` said. Errors as `connect()`."""
        if len(self._host) == 0:
            raise ValueError("Invalid host.")
        if self._port <= 0:
            raise ValueError("Invalid port number.")
        self._state = _CONNECTING
        self._connecting = threading.get_ident()
        try:
            self._sock_close()
            self._close()
            self._call("on_pre_connect")
            sock = make_socket(self)
            try:
                sock.setblocking(False)
                self._open_link(sock)
            except BaseException:
                sock.close()
                raise
            self._sock = sock
        finally:
            self._connecting = None
            self._stirred.set()
        self._registered_write = False
        self._call("on_socket_open", sock)
        return MQTTErrorCode(self._flush())

    def _open_link(self, sock: Any) -> None:
        v5 = self._protocol == MQTTv5
        first = self._clean_start == MQTT_CLEAN_START_FIRST_ONLY
        clean = bool(self._mqttv5_first_connect if first else self._clean_start) if v5 else bool(self._clean_session)
        will = None
        if self._will:
            will = (
                self._will_topic,
                bytes(self._will_payload),
                self._will_qos,
                self._will_retain,
                self._will_properties,
            )
        self._open(
            sock,
            not self._ssl,
            version=self._protocol,
            client_id=self._client_id,
            clean=clean,
            keepalive=self._keepalive,
            username=self._username,
            password=self._password,
            will=will,
            properties=self._connect_properties,
            bridge=self._client_mode == MQTT_BRIDGE,
            websocket=sock._early if isinstance(sock, WebsocketWrapper) else None,
        )
        flags = (
            self._username is not None,
            self._username is not None and self._password is not None,
            self._will_retain,
            self._will_qos,
            self._will,
            clean,
            self._keepalive,
            self._client_id,
        )
        text = "Sending CONNECT (u%d, p%d, wr%d, wq%d, wf%d, c%d, k%d) client_id=%s"
        if v5:
            self._easy_log(MQTT_LOG_DEBUG, text + " properties=%s", *flags, self._connect_properties)
        else:
            self._easy_log(MQTT_LOG_DEBUG, text, *flags)

    def is_connected(self) -> bool:
        """Whether the broker has accepted the connection, and nothing has ended it since."""
        return self._state is _CONNECTED

    def disconnect(self, reasoncode: ReasonCode | None = None, properties: Properties | None = None) -> MQTTErrorCode:
        """Sends DISCONNECT and closes, after what was published before. MQTT_ERR_NO_CONN without a connection.

        The reason and the properties are MQTT 5.0's.
        """
        if self._sock is None:
            self._state = _DISCONNECTED
            self._stirred.set()
            self._abandon()
            return MQTT_ERR_NO_CONN
        self._state = _DISCONNECTING
        if self._protocol == MQTTv5:
            self._easy_log(MQTT_LOG_DEBUG, "Sending DISCONNECT reasonCode=%s properties=%s", reasoncode, properties)
        else:
            self._easy_log(MQTT_LOG_DEBUG, "Sending DISCONNECT")
        return MQTTErrorCode(self._leave(0 if reasoncode is None else reasoncode.value, properties))

    # Subscribing

    def subscribe(
        self,
        topic: str
        | tuple[str, int]
        | tuple[str, SubscribeOptions]
        | list[tuple[str, int]]
        | list[tuple[str, SubscribeOptions]],
        qos: int = 0,
        options: SubscribeOptions | None = None,
        properties: Properties | None = None,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Asks for messages: `subscribe("a/b", 1)`, `subscribe(("a/b", 1))` or `subscribe([("a/b", 1), ("c", 0)])`.

        In MQTT 5.0 `SubscribeOptions` may stand in the place of the number. Returns `(MQTT_ERR_SUCCESS, mid)`, and
        `(MQTT_ERR_NO_CONN, None)` without a connection. ValueError for filters and QoS that are none.
        """
        v5 = self._protocol == MQTTv5
        wanted = _requests.subscriptions(topic, qos, options, v5)
        if self._sock is None:
            return (MQTT_ERR_NO_CONN, None)
        filters = [(name, option.pack()[0] if v5 else int(option)) for name, option in wanted]
        rc, mid = self._subscribe(filters, properties if v5 else None)
        if mid is not None:
            self._easy_log(MQTT_LOG_DEBUG, "Sending SUBSCRIBE (d%d, m%d) %s", False, mid, wanted)
        return (MQTTErrorCode(rc), mid)

    def unsubscribe(
        self, topic: str | list[str], properties: Properties | None = None
    ) -> tuple[MQTTErrorCode, int | None]:
        """Ends subscriptions, one or a list of them. Returns and raises as `subscribe()`."""
        names = _requests.filters(topic)
        if self._sock is None:
            return (MQTT_ERR_NO_CONN, None)
        v5 = self._protocol == MQTTv5
        rc, mid = self._unsubscribe(names, properties if v5 else None)
        if mid is not None:
            if v5:
                text = "Sending UNSUBSCRIBE (d%d, m%d) %s %s"
                self._easy_log(MQTT_LOG_DEBUG, text, False, mid, properties, names)
            else:
                self._easy_log(MQTT_LOG_DEBUG, "Sending UNSUBSCRIBE (d%d, m%d) %s", False, mid, names)
        return (MQTTErrorCode(rc), mid)

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledges a message under `manual_ack`; nothing to do without."""
        if not self._manual_ack or qos not in (1, 2):
            return MQTT_ERR_SUCCESS
        if self._sock is None:
            return MQTT_ERR_NO_CONN
        return MQTTErrorCode(self._flush()) if self._acknowledge(mid, qos) else MQTT_ERR_SUCCESS

    def message_callback_add(self, sub: str, callback: CallbackOnMessage) -> None:
        """Calls `callback` for messages that the filter `sub` matches, in the place of `on_message`."""
        if callback is None or sub is None:
            raise ValueError("sub and callback must both be defined.")
        self._filtered[sub] = callback
        self._filter_add(sub)
        self._changed()

    def message_callback_remove(self, sub: str) -> None:
        """Takes back what `message_callback_add()` did for this filter."""
        if sub is None:
            raise ValueError("sub must defined.")
        if self._filtered.pop(sub, None) is not None:
            self._filter_remove(sub)
            self._changed()

    def topic_callback(self, sub: str) -> Callable[[CallbackOnMessage], CallbackOnMessage]:
        """A decorator that does what `message_callback_add()` does."""

        def decorator(func: CallbackOnMessage) -> CallbackOnMessage:
            self.message_callback_add(sub, func)
            return func

        return decorator

    def socket(self) -> Any:
        """The socket, or None without a connection."""
        return self._sock

    # What the native half calls

    def _on_connack(self, session_present: bool, code: int, block: bytes) -> int | None:
        v5 = self._protocol == MQTTv5
        flags = int(session_present)
        if self._protocol == MQTTv311 and self._is_remedied(flags, code):
            return None
        if code == 0:
            self._state = _CONNECTED
            self._reconnect_delay = None
        reason = (
            ReasonCode(PacketTypes.CONNACK, identifier=code)
            if v5
            else convert_connack_rc_to_reason_code(cast(ConnackCode, code))
        )
        properties = Properties(PacketTypes.CONNACK)
        if v5:
            properties.unpack(block)
            if code == 0 and hasattr(properties, "ServerKeepAlive"):
                self._keepalive = properties.ServerKeepAlive
            self._easy_log(MQTT_LOG_DEBUG, "Received CONNACK (%s, %s) properties=%s", flags, reason, properties)
        else:
            self._easy_log(MQTT_LOG_DEBUG, "Received CONNACK (%s, %s)", flags, code)
        self._mqttv5_first_connect = False
        self._has_session = self._store is not None
        if self._callback_api_version == CallbackAPIVersion.VERSION2:
            self._call("on_connect", ConnectFlags(session_present), reason, properties)
        elif v5:
            self._call("on_connect", {"session present": flags}, reason, properties)
        else:
            self._call("on_connect", {"session present": flags}, code)
        if code == 0:
            return None
        return self._loop_rc_handle(MQTT_ERR_CONN_REFUSED if code < 6 else MQTT_ERR_PROTOCOL)

    def _is_remedied(self, flags: int, code: int) -> bool:
        """Whether a broker's refusal was answered with another CONNECT: of 3.1, or with a client id."""
        if not self._reconnect_on_failure:
            return False
        if code == CONNACK_REFUSED_PROTOCOL_VERSION:
            text = "Received CONNACK (%s, %s), attempting downgrade to MQTT v3.1."
            self._easy_log(MQTT_LOG_DEBUG, text, flags, code)
            self._protocol = MQTTv31
        elif code == CONNACK_REFUSED_IDENTIFIER_REJECTED and self._client_id == b"":
            text = "Received CONNACK (%s, %s), attempting to use non-empty CID"
            self._easy_log(MQTT_LOG_DEBUG, text, flags, code)
            self._client_id = base62(uuid.uuid4().int, padding=22).encode("utf8")
        else:
            return False
        self.reconnect()
        return True

    def _on_suback(self, mid: int, codes: Sequence[int], block: bytes) -> None:
        v5 = self._protocol == MQTTv5
        if not v5 and self._callback_api_version == CallbackAPIVersion.VERSION1:
            return self._call("on_subscribe", mid, tuple(codes))
        reasons = [ReasonCode(PacketTypes.SUBACK, identifier=code) for code in codes]
        properties = Properties(PacketTypes.SUBACK)
        if v5:
            properties.unpack(block)
        return self._call("on_subscribe", mid, reasons, properties)

    def _on_unsuback(self, mid: int, codes: Sequence[int], block: bytes) -> None:
        v5 = self._protocol == MQTTv5
        if not v5 and self._callback_api_version == CallbackAPIVersion.VERSION1:
            return self._call("on_unsubscribe", mid)
        reasons = [ReasonCode(PacketTypes.UNSUBACK, identifier=code) for code in codes]
        properties = Properties(PacketTypes.UNSUBACK)
        if v5:
            properties.unpack(block)
        if self._callback_api_version == CallbackAPIVersion.VERSION2:
            return self._call("on_unsubscribe", mid, reasons, properties)
        return self._call("on_unsubscribe", mid, properties, reasons[0] if len(reasons) == 1 else reasons)

    def _on_disconnect_packet(self, code: int, block: bytes, length: int) -> None:
        # What the packet left out is None.
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=code) if length > 0 else None
        properties = Properties(PacketTypes.DISCONNECT) if length > 1 else None
        if properties is not None:
            properties.unpack(block)
        self._easy_log(MQTT_LOG_DEBUG, "Received DISCONNECT %s %s", reason, properties)
        self._sock_close()
        if self._state is _CONNECTED:
            self._state = _LOST
        self._do_on_disconnect(True, MQTT_ERR_SUCCESS, reason, properties)

    def _on_lost(self, rc: int, why: str | None) -> int:
        if why is not None:
            malformed = rc == MQTT_ERR_PROTOCOL
            text = "Received malformed packet: %s" if malformed else "failed to receive on socket: %s"
            self._easy_log(MQTT_LOG_DEBUG if malformed else MQTT_LOG_ERR, text, why)
        if rc != MQTT_ERR_KEEPALIVE:
            return self._loop_rc_handle(MQTTErrorCode(rc))
        self._sock_close()
        if self._is_leaving():
            self._state = _DISCONNECTED
            rc = MQTT_ERR_SUCCESS
        else:
            self._state = _LOST
        self._do_on_disconnect(False, MQTTErrorCode(rc))
        return MQTT_ERR_CONN_LOST

    def _on_left(self) -> None:
        sock = self._sock
        try:
            self._do_on_disconnect(False, MQTT_ERR_SUCCESS)
        finally:
            # on_disconnect may have connected again.
            if self._sock is sock:
                self._sock_close()
                if self._state is _DISCONNECTING:
                    self._state = _DISCONNECTED
                self._abandon()

    def _on_socket_gone(self) -> int:
        """The program has closed the socket."""
        self._sock = None
        self._close()
        if self._is_leaving():
            return MQTT_ERR_CONN_LOST
        self._state = _LOST
        self._do_on_disconnect(False, MQTT_ERR_CONN_LOST)
        return MQTT_ERR_CONN_LOST

    def _loop_rc_handle(self, rc: MQTTErrorCode) -> MQTTErrorCode:
        self._sock_close()
        if self._is_leaving():
            self._state = _DISCONNECTED
            rc = MQTT_ERR_SUCCESS
        elif rc == MQTT_ERR_CONN_LOST or self._state is _CONNECTED:
            self._state = _LOST
        if not self._reconnect_on_failure or rc == MQTT_ERR_SUCCESS:
            self._abandon()
        self._do_on_disconnect(False, rc)
        return rc

    def _is_leaving(self) -> bool:
        return self._state in (_DISCONNECTING, _DISCONNECTED)

    def _do_on_disconnect(
        self,
        packet_from_broker: bool,
        v1_rc: MQTTErrorCode,
        reason: ReasonCode | None = None,
        properties: Properties | None = None,
    ) -> None:
        if self._callback_api_version == CallbackAPIVersion.VERSION2:
            reason = convert_disconnect_error_code_to_reason_code(v1_rc) if reason is None else reason
            properties = Properties(PacketTypes.DISCONNECT) if properties is None else properties
            self._call("on_disconnect", DisconnectFlags(packet_from_broker), reason, properties)
        elif self._protocol != MQTTv5:
            self._call("on_disconnect", v1_rc)
        elif packet_from_broker:
            self._call("on_disconnect", reason, properties)
        else:
            self._call("on_disconnect", v1_rc, None)

    def _on_connect_failed(self) -> None:
        callback = self.on_connect_fail
        if callback:
            try:
                callback(self, self._userdata)
            except Exception as error:
                self._easy_log(MQTT_LOG_ERR, "Caught exception in on_connect_fail: %s", error)

    def _call(self, name: str, *args: Any) -> None:
        """Calls a callback, if there is one."""
        callback = getattr(self, name)
        if not callback:
            return
        try:
            callback(self, self._userdata, *args)
        except Exception as error:
            self._easy_log(MQTT_LOG_ERR, f"Caught exception in {name}: %s", error)
            if not self.suppress_exceptions:
                raise

    # The socket

    def _sock_recv(self, bufsize: int) -> bytes:
        sock = self._sock
        if sock is None:
            raise ConnectionError("self._sock is None")
        try:
            return cast(bytes, sock.recv(bufsize))
        except ssl.SSLWantReadError as error:
            raise BlockingIOError from error
        except ssl.SSLWantWriteError as error:
            self._call_socket_register_write()
            raise BlockingIOError from error

    def _sock_send(self, buf: bytes) -> int:
        sock = self._sock
        if sock is None:
            raise ConnectionError("self._sock is None")
        try:
            return cast(int, sock.send(buf))
        except (ssl.SSLWantWriteError, BlockingIOError) as error:
            self._call_socket_register_write()
            raise BlockingIOError from error
        except ssl.SSLWantReadError as error:
            raise BlockingIOError from error

    def _sock_close(self) -> None:
        """Closes the connection as it is."""
        sock = self.__dict__.get("_sock")
        if sock is None:
            return
        self._sock = None
        try:
            self._call_socket_unregister_write(sock)
            self._call("on_socket_close", sock)
        finally:
            self._close()
            sock.close()

    def _call_socket_register_write(self) -> None:
        sock = self._sock
        if sock is not None and not self._registered_write:
            self._registered_write = True
            self._call("on_socket_register_write", sock)

    def _call_socket_unregister_write(self, sock: Any = None) -> None:
        sock = sock or self._sock
        if sock is not None and self._registered_write:
            self._registered_write = False
            self._call("on_socket_unregister_write", sock)


for _part in (Callbacks, Settings, Loops):
    for _name, _function in vars(_part).items():
        if callable(_function) and hasattr(_function, "__qualname__"):
            # To a program, in what it is told of a wrong call, they are the client's.
            _function.__qualname__ = f"Client.{_name}"


def _client_id(client_id: Any, protocol: MQTTProtocolVersion) -> Any:
    if client_id is None or client_id in ("", b""):
        # 3.1 has no brokers that choose one.
        return base62(uuid.uuid4().int, padding=22).encode("utf8") if protocol == MQTTv31 else b""
    return client_id.encode("utf-8") if isinstance(client_id, str) else client_id


def _after_fork_in_child() -> None:
    """The connection is the parent's: here it is closed without a word, and no loop runs."""
    for client in list(_clients):
        client._forked()
        sock = client.__dict__.get("_sock")
        client._make_locks()
        client._sock = None
        client._thread = None
        client._connecting = None
        client._registered_write = False
        if client._state is not _NEW:
            client._state = _LOST
        client._tell_callbacks()
        client._protocol = client._protocol
        if sock is not None:
            sock.close()


def _end_loops() -> None:
    """The interpreter is about to go: no loop must wait for its lock then."""
    threads = []
    for client in list(_clients):
        thread = client._thread
        if thread is not None and thread is not threading.current_thread():
            client._end_loop()
            threads.append(thread)
    for thread in threads:
        thread.join(1.0)
        if thread.is_alive() and thread.ident is not None:
            # It is in a callback that does not end, and has native code below it, which must not be cut off.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))
            thread.join(0.5)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

atexit.register(_end_loops)
