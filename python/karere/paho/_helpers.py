"""What `publish` and `subscribe` have in common: one client for one errand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client


def prepare(client: Client, will: Any, auth: Any, tls: Any, proxy_args: Any) -> None:
    """Sets the options that both helpers take as dicts; KeyError for `auth` without a username."""
    if proxy_args is not None:
        client.proxy_set(**proxy_args)
    if auth:
        username = auth.get("username")
        if not username:
            raise KeyError("The 'username' key was not found, this is required for auth")
        client.username_pw_set(username, auth.get("password"))
    if will is not None:
        client.will_set(**will)
    if tls is not None:
        _secure(client, tls)


def _secure(client: Client, tls: Any) -> None:
    if not isinstance(tls, dict):
        client.tls_set_context(tls)
        return
    # Taken out of the caller's dict, as paho-mqtt does: what is left is what tls_set takes.
    insecure = tls.pop("insecure", False)
    client.tls_set(**tls)
    if insecure:
        client.tls_insecure_set(insecure)
