"""Both brokers, and topics of a test's own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from conftest import Broker
from proxy import Proxy

_numbers = itertools.count()


@pytest.fixture(params=["karere_broker", "mosquitto"])
def port(request: pytest.FixtureRequest) -> int:
    """The port of each broker in turn."""
    broker: Broker = request.getfixturevalue(request.param)
    return broker.port


@pytest.fixture
def topic() -> str:
    """A topic that no other test uses."""
    return f"modern/{next(_numbers)}"


@pytest.fixture
def proxy(karere_broker: Broker) -> Iterator[Proxy]:
    """A connection to our broker that the test can cut."""
    with Proxy(karere_broker.port) as proxy:
        yield proxy
