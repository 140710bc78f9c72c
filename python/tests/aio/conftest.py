"""Both brokers, both event loops, and topics of a test's own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

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
    return f"aio/{next(_numbers)}"


@pytest.fixture
def proxy(karere_broker: Broker) -> Iterator[Proxy]:
    """A connection to our broker that the test can cut."""
    with Proxy(karere_broker.port) as proxy:
        yield proxy


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in each event loop in turn."""
    runner = asyncio if request.param == "asyncio" else pytest.importorskip("uvloop")

    def within(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return runner.run(asyncio.wait_for(coroutine, 60))

    return within
