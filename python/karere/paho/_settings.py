"""What a client is told before it connects: properties and setters of its options."""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

from ._names import MQTT_BRIDGE, PayloadType, encode_payload
from .enums import MQTTProtocolVersion, _ConnectionState
from .properties import Properties

try:
    import socks
except ImportError:
    socks = None


def _option(name: str, doc: str, check: Any = None) -> property:
    """A property that is read at any time and set only while there is no connection, nor one being made."""
    attribute = "_" + name

    def get(self: Settings) -> Any:
        return getattr(self, attribute)

    def set_option(self: Settings, value: Any) -> None:
        self._refuse_while_connected(name)
        setattr(self, attribute, value if check is None else check(value))
        self._tell_limits()

    return property(get, set_option, doc=doc + " Set it before connecting: RuntimeError on a connection.")


def _at_least(least: float, text: str) -> Any:
    def check(value: Any) -> Any:
        if value < least:
            raise ValueError(text)
        return value

    return check


def _host(value: str) -> str:
    if not value:
        raise ValueError("Invalid host.")
    return value


def _timeout(value: float) -> float:
    if value <= 0.0:
        raise ValueError("timeout must be a positive number")
    return value


class Settings:
    """The options of a client."""

    if TYPE_CHECKING:

        def _tell(self, **settings: Any) -> None: ...
        def _tell_limits(self) -> None: ...
        @property
        def _protocol(self) -> MQTTProtocolVersion: ...

    _reconnect_delay_mutex: Any
    _reconnect_delay: float | None
    _ssl_context: ssl.SSLContext | None
    _will_payload: bytes | bytearray
    _will_properties: Properties | None
    _sock: Any
    _state: _ConnectionState
    _max_inflight_messages: int
    _max_queued_messages: int
    _manual_ack: bool

    host = _option("host", "The broker's name or address; a path for the transport `unix`.", _host)
    port = _option("port", "The broker's port.", _at_least(1, "Invalid port number."))
    keepalive = _option(
        "keepalive", "Seconds of silence after which we ask; 0 for never.", _at_least(0, "Keepalive must be >=0.")
    )
    transport = _option("transport", '"tcp", "websockets" or "unix".')
    connect_timeout = _option("connect_timeout", "How many seconds connecting may take.", _timeout)
    max_inflight_messages = _option(
        "max_inflight_messages",
        "How many messages at QoS 1 and 2 may be unacknowledged; 0 for any number.",
        _at_least(0, "Invalid inflight."),
    )
    max_queued_messages = _option(
        "max_queued_messages",
        "How many messages at QoS 1 and 2 may wait or be unacknowledged; 0 for any number.",
        _at_least(0, "Invalid queue size."),
    )

    @property
    def username(self) -> str | None:
        """The user name. Set it before connecting: RuntimeError on a connection."""
        return None if self._username is None else self._username.decode("utf-8")

    @username.setter
    def username(self, value: str | None) -> None:
        self._refuse_while_connected("username")
        self._username = None if value is None else value.encode("utf-8")

    @property
    def password(self) -> str | None:
        """The password. Set it before connecting: RuntimeError on a connection."""
        return None if self._password is None else self._password.decode("utf-8")

    @password.setter
    def password(self, value: str | None) -> None:
        self._refuse_while_connected("password")
        self._password = None if value is None else value.encode("utf-8")

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """The version of MQTT."""
        return self._protocol

    @property
    def will_topic(self) -> str | None:
        """The topic of the will; empty without one."""
        return None if self._will_topic is None else self._will_topic.decode("utf-8")

    @property
    def will_payload(self) -> bytes | bytearray | None:
        """The payload of the will."""
        return self._will_payload

    @property
    def logger(self) -> logging.Logger | None:
        """Where packets and events are logged."""
        return self._logger

    @logger.setter
    def logger(self, value: logging.Logger | None) -> None:
        self._logger = value
        self._tell_limits()

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Logs packets and events to `logger`, or to the one named `paho.mqtt.client`."""
        if logger is None:
            if self._logger is not None:
                return
            logger = logging.getLogger("paho.mqtt.client")
        self.logger = logger

    def disable_logger(self) -> None:
        """Logs nothing any more; `on_log` is called as before."""
        self.logger = None

    def max_inflight_messages_set(self, inflight: int) -> None:
        """As the property `max_inflight_messages`."""
        self.max_inflight_messages = inflight

    def max_queued_messages_set(self, queue_size: int) -> Any:
        """As the property `max_queued_messages`, and returns the client. TypeError for what is no int."""
        if not isinstance(queue_size, int):
            raise TypeError("queue_size should be an int")
        self.max_queued_messages = queue_size
        return self

    def message_retry_set(self, retry: float) -> None:
        """Does nothing, as in 1.x: no message is sent again on the connection that has it."""

    def user_data_set(self, userdata: Any) -> None:
        """Sets what callbacks get as their second argument."""
        self._userdata = userdata

    def user_data_get(self) -> Any:
        """What callbacks get as their second argument."""
        return self._userdata

    def manual_ack_set(self, on: bool) -> None:
        """With True, a message at QoS 1 or 2 is acknowledged by `ack()` and not after its callback."""
        self._manual_ack = on
        self._tell(manual_ack=on)

    def username_pw_set(self, username: str | None, password: str | bytes | None = None) -> None:
        """Sets user name and password; None for none. Without a user name no password is sent."""
        self._username = None if username is None else username.encode("utf-8")
        self._password = password.encode("utf-8") if isinstance(password, str) else password

    def enable_bridge_mode(self) -> None:
        """Connects as a bridge, to brokers that treat bridges in another way."""
        self._client_mode = MQTT_BRIDGE

    def will_set(
        self,
        topic: str,
        payload: PayloadType = None,
        qos: int = 0,
        retain: bool = False,
        properties: Properties | None = None,
    ) -> None:
        """Sets the message that the broker publishes when it loses this client. Before connecting.

        ValueError for an empty topic and a QoS that is none, TypeError for a payload that is none.
        """
        if topic is None or len(topic) == 0:
            raise ValueError("Invalid topic.")
        if qos < 0 or qos > 2:
            raise ValueError("Invalid QoS level.")
        if properties and not isinstance(properties, Properties):
            raise ValueError("The properties argument must be an instance of the Properties class.")
        self._will_payload = encode_payload(payload)
        self._will = True
        self._will_topic = topic.encode("utf-8")
        self._will_qos = qos
        self._will_retain = retain
        self._will_properties = properties

    def will_clear(self) -> None:
        """Takes the will back. Before connecting."""
        self._will = False
        self._will_topic = b""
        self._will_payload = b""
        self._will_qos = 0
        self._will_retain = False
        self._will_properties = None

    def reconnect_delay_set(self, min_delay: int = 1, max_delay: int = 120) -> None:
        """How many seconds the loop waits before it connects again: twice as long each time, from `min` to `max`."""
        with self._reconnect_delay_mutex:
            self._reconnect_min_delay = min_delay
            self._reconnect_max_delay = max_delay
            self._reconnect_delay = None

    def ws_set_options(self, path: str = "/mqtt", headers: Any = None) -> None:
        """Sets path and headers of the WebSocket handshake.

        A dict adds to the headers we send; a function gets them all as a dict and returns what is to be sent.
        """
        self._websocket_path = path
        if headers is not None:
            if not isinstance(headers, dict) and not callable(headers):
                raise ValueError("'headers' option to ws_set_options has to be either a dictionary or callable")
            self._websocket_extra_headers = headers

    def tls_set_context(self, context: ssl.SSLContext | None = None) -> None:
        """Connects over TLS with this context, or the system's default. ValueError the second time."""
        if self._ssl_context is not None:
            raise ValueError("SSL/TLS has already been configured.")
        if context is None:
            context = ssl.create_default_context()
        self._ssl = True
        self._ssl_context = context
        if hasattr(context, "check_hostname"):
            self._tls_insecure = not context.check_hostname

    def tls_set(
        self,
        ca_certs: str | None = None,
        certfile: str | None = None,
        keyfile: str | None = None,
        cert_reqs: ssl.VerifyMode | None = None,
        tls_version: int | None = None,
        ciphers: str | None = None,
        keyfile_password: str | None = None,
        alpn_protocols: list[str] | None = None,
    ) -> None:
        """Connects over TLS, with files by path: they are read at once, and OSError or ssl.SSLError say what is wrong.

        Without `ca_certs` the system's authorities are trusted.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if tls_version is None else tls_version)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if certfile is not None:
            context.load_cert_chain(certfile, keyfile, keyfile_password)
        if cert_reqs == ssl.CERT_NONE:
            context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if cert_reqs is None else cert_reqs
        if ca_certs is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca_certs)
        if alpn_protocols is not None:
            context.set_alpn_protocols(alpn_protocols)
        self.tls_set_context(context)
        self.tls_insecure_set(cert_reqs == ssl.CERT_NONE)

    def tls_insecure_set(self, value: bool) -> None:
        """With True, the name in the broker's certificate is not checked. After `tls_set()`."""
        if self._ssl_context is None:
            raise ValueError("Must configure SSL context before using tls_insecure_set.")
        self._tls_insecure = value
        if hasattr(self._ssl_context, "check_hostname"):
            self._ssl_context.check_hostname = not value

    def proxy_set(self, **proxy_args: Any) -> None:
        """Connects through a proxy; the arguments are those of PySocks' `create_connection`."""
        if socks is None:
            raise ValueError("PySocks must be installed for proxy support.")
        if not self._proxy_is_valid(proxy_args):
            raise ValueError("proxy_type and/or proxy_addr are invalid.")
        self._proxy = proxy_args

    def _refuse_while_connected(self, name: str) -> None:
        left = self._state in (_ConnectionState.MQTT_CS_DISCONNECTING, _ConnectionState.MQTT_CS_DISCONNECTED)
        if self._state != _ConnectionState.MQTT_CS_NEW and not (left and self._sock is None):
            raise RuntimeError(f"updating {name} on established connection is not supported")

    @staticmethod
    def _proxy_is_valid(proxy: Any) -> bool:
        if isinstance(proxy, dict):
            kind, address = proxy.get("proxy_type"), proxy.get("proxy_addr")
        elif isinstance(proxy, (list, tuple)) and len(proxy) == 6:
            kind, address = proxy[:2]
        else:
            return False
        return socks is not None and kind in {socks.HTTP, socks.SOCKS4, socks.SOCKS5} and bool(address)
