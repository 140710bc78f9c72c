"""Sockets for a client: TCP, Unix, through a proxy, with TLS and WebSocket over them."""

from __future__ import annotations

import socket
import ssl
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, cast

from ._websocket import WebsocketWrapper

if TYPE_CHECKING:
    from .client import Client

try:
    import socks
except ImportError:
    socks = None


def make_socket(client: Client) -> Any:
    """A connected socket, as the client's options say. OSError as `socket` and `ssl` raise it."""
    if client._transport == "unix":
        sock: Any = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(client._host)
        except BaseException:
            sock.close()
            raise
    else:
        sock = _connect(client)
    try:
        if client._ssl:
            sock = _wrap(client, sock)
        if client._transport == "websockets":
            sock.settimeout(client._connect_timeout)
            sock = WebsocketWrapper(
                sock, client._host, client._port, client._ssl, client._websocket_path, client._websocket_extra_headers
            )
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(client: Client) -> Any:
    address = (client._host, client._port)
    options: dict[str, Any] = {
        "timeout": client._connect_timeout,
        "source_address": (client._bind_address, client._bind_port),
    }
    proxy = proxy_of(client)
    if proxy is not None:
        return socks.create_connection(address, **options, **proxy)
    return socket.create_connection(address, **options)


def proxy_of(client: Client) -> dict[str, Any] | None:
    """The proxy to go through: the client's, that of the variable `mqtt_proxy`, or PySocks' default."""
    if socks is None:
        return None
    if client._proxy_is_valid(client._proxy):
        return cast("dict[str, Any]", client._proxy)
    if not urllib.request.proxy_bypass(client._host):
        url = urllib.parse.urlparse(urllib.request.getproxies().get("mqtt", ""))
        kind = {"http": socks.HTTP, "socks": socks.SOCKS5}.get(url.scheme)
        if kind is not None:
            return {"proxy_type": kind, "proxy_addr": url.hostname, "proxy_port": url.port}
    default = socks.get_default_proxy()
    if client._proxy_is_valid(default):
        names = ("proxy_type", "proxy_addr", "proxy_port", "proxy_rdns", "proxy_username", "proxy_password")
        return dict(zip(names, default))
    return None


def _wrap(client: Client, sock: socket.socket) -> ssl.SSLSocket:
    context = client._ssl_context
    if context is None:
        raise ValueError("TLS is on, and there is no context for it: use tls_set() or tls_set_context()")
    try:
        wrapped = context.wrap_socket(sock, server_hostname=client._host, do_handshake_on_connect=False)
    except ssl.CertificateError:
        raise
    except ValueError:
        # A host that can be no name for SNI, or a context that wants none.
        wrapped = context.wrap_socket(sock, do_handshake_on_connect=False)
    try:
        wrapped.settimeout(client._connect_timeout)
        wrapped.do_handshake()
    except BaseException:
        wrapped.close()
        raise
    return wrapped
