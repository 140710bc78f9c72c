"""What goes beyond one client: forks, and the end of the process."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING, Protocol

from . import _karere

if TYPE_CHECKING:
    from collections.abc import Iterable


class Live(Protocol):
    """A client, as far as the process is concerned with it."""

    def _sockets(self) -> Iterable[int]: ...

    def _at_exit(self) -> None: ...


_live: weakref.WeakSet[Live] = weakref.WeakSet()
_sockets: list[int] = []


def watch(client: Live) -> None:
    """Has `client` seen to when the process forks or ends."""
    _live.add(client)


def _before_fork() -> None:
    _sockets[:] = [socket for client in list(_live) for socket in client._sockets() if socket >= 0]


def _after_fork_in_child() -> None:
    # The connections are the parent's: what the child would write, and its hold on the socket, which would keep the
    # server from seeing that the parent has gone. The numbers stay taken, so that nothing else is closed by them later.
    _karere._after_fork_in_child()
    _live.clear()
    if _sockets:
        nothing = os.open(os.devnull, os.O_RDWR)
        for socket in _sockets:
            os.dup2(nothing, socket, inheritable=False)
        os.close(nothing)
        _sockets.clear()


def _at_exit() -> None:
    for client in list(_live):
        client._at_exit()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
