"""Messages that must come."""

from __future__ import annotations

import karere


def take(messages: karere.Messages, seconds: float = 20) -> karere.Message:
    """The next message; the test fails without one."""
    message = messages.get(seconds)
    assert message is not None, "the client was closed"
    return message
