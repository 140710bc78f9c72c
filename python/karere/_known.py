"""What both clients answer without asking the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import _karere


class Known:
    """The state of a client, as its native half knows it."""

    _native: _karere.ThreadClient | _karere.LoopClient

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection that the server has accepted."""
        return self._native.is_connected

    @property
    def client_id(self) -> str:
        """The Client Identifier in use, the server's where it gave one."""
        return self._native.client_id

    @property
    def queued(self) -> int:
        """Messages that wait, offline or for their way to be free."""
        return self._native.queued

    @property
    def inflight(self) -> int:
        """QoS 1 and 2 messages that were sent and are not acknowledged."""
        return self._native.inflight

    @property
    def dropped(self) -> int:
        """QoS 0 messages that were given up because their consumers were behind (`stream_bytes_max`)."""
        return self._native.dropped
