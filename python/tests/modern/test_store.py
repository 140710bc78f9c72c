"""karere.Client with a store: what one process leaves, the next one sends. The statements are DESIGN.md's."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import karere
from conftest import Broker
from taking import take

#: Publishes numbers from the one given on, and says of each that publishing has returned.
PUBLISHER = """
import itertools, sys, karere
port, store, topic, first = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
with karere.Client("127.0.0.1", port, client_id="killed", store=store) as client:
    for number in itertools.count(first):
        client.publish(topic, str(number), qos=1 + number % 2)
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
"""


def stored(port: int, folder: pathlib.Path, **options: object) -> karere.Client:
    return karere.Client("127.0.0.1", port, store=folder / "store", **options)  # type: ignore[arg-type]


def test_c1_what_was_published_without_a_connection_is_sent_by_the_next_client(
    port: int, topic: str, tmp_path: pathlib.Path
) -> None:
    offline = stored(port, tmp_path)
    deliveries = [offline.publish(topic, str(number), qos=1 + number % 2) for number in range(20)]
    assert deliveries[-1].wait_stored(10)
    assert all(delivery.stored and not delivery.done for delivery in deliveries)
    del offline
    with karere.Client("127.0.0.1", port) as other:
        other.subscribe(topic, 2)
        with stored(port, tmp_path) as client:
            assert client.drain(20)
        payloads = [take(other.messages).payload for _ in range(20)]
    # Order is kept within a QoS.
    for parity in (0, 1):
        assert payloads.count(b"0") == 1
        assert [int(p) for p in payloads if int(p) % 2 == parity] == list(range(parity, 20, 2))


@pytest.mark.parametrize("round", range(3))
def test_c1_nothing_that_publish_has_returned_for_is_missing_when_the_process_is_killed(
    karere_broker: Broker, topic: str, tmp_path: pathlib.Path, round: int
) -> None:
    port = karere_broker.port
    with karere.Client("127.0.0.1", port) as other:
        other.subscribe(topic, 2)
        arguments = [str(port), str(tmp_path / "store"), topic, "0"]
        with subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, *arguments], stdout=subprocess.PIPE, env=os.environ, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(1 + 300 * round):
                process.stdout.readline()
            process.kill()
            returned = [int(line) for line in process.stdout.read().split("\n")[:-1]]
        last = max(returned, default=300 * round)
        with stored(port, tmp_path, client_id="killed") as client:
            assert client.drain(20)
            client.publish(topic, "end", qos=1).wait(20)
        seen = set()
        while (payload := take(other.messages).payload) != b"end":
            seen.add(int(payload))
    assert seen >= set(range(last + 1))


def test_delivery_says_that_it_is_stored_and_at_qos_0_that_it_is_not(
    port: int, topic: str, tmp_path: pathlib.Path
) -> None:
    with stored(port, tmp_path) as client:
        delivery = client.publish(topic, "x", qos=1)
        assert delivery.wait_stored(10) is True
        assert delivery.stored
        assert delivery.wait(10) < 0x80
        plain = client.publish(topic, "x")
        assert plain.wait_stored(10) is False
        assert not plain.stored


def test_a_store_that_somebody_else_has_is_an_error_that_names_them(tmp_path: pathlib.Path) -> None:
    first = stored(1, tmp_path)
    with pytest.raises(karere.StoreError, match=f"process {os.getpid()}") as error:
        stored(1, tmp_path)
    assert isinstance(error.value, OSError)
    del first
    stored(1, tmp_path)


def test_a_full_store_refuses_what_is_new(tmp_path: pathlib.Path) -> None:
    client = stored(1, tmp_path, store_bytes_max=1000)
    with pytest.raises(karere.QueueFullError, match="the store is full"):
        for _ in range(100):
            client.publish("t", b"x" * 100, qos=1)
    client.publish("t", b"x" * 100)


def test_the_session_outlives_the_connection_unless_told_otherwise(
    port: int, topic: str, tmp_path: pathlib.Path
) -> None:
    with stored(port, tmp_path, client_id="lasting/" + topic) as client:
        client.subscribe(topic, 2)
        assert not client.session_present
    with karere.Client("127.0.0.1", port) as other:
        other.publish(topic, "kept", qos=2).wait(10)
    with stored(port, tmp_path, client_id="lasting/" + topic) as client:
        assert client.session_present
        assert take(client.messages).payload == b"kept"
    with stored(port, tmp_path, client_id="lasting/" + topic, clean_start=True, session_expiry=0) as client:
        client.publish(topic, "x", qos=1).wait(10)


@pytest.mark.parametrize("durability", ["fsync", "os", "none"])
def test_each_durability_sends(port: int, topic: str, tmp_path: pathlib.Path, durability: str) -> None:
    with stored(port, tmp_path, durability=durability) as client:
        assert client.publish(topic, "x", qos=2).wait(10) < 0x80


def test_a_durability_that_there_is_not_is_a_value_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ValueError, match="fsync, os and none"):
        stored(1, tmp_path, durability="much")
