"""The programs of the tutorials, as their authors wrote them but for the broker's address and credentials.

They lie beside this repository, in ../shared/tutorials, and are taken out of the pages when the tests run.
"""

from __future__ import annotations

import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import Broker, free_port, shared_folder
from programs import Program

pytestmark = pytest.mark.slow
PAGES = ("000", "001", "002", "003", "004")
# Where a page left the credentials commented out: mosquitto knows this user, and our broker takes any.
USER, PASSWORD = "user", "pass"


def programs(page: str) -> list[str]:
    """The complete programs of a page: they import paho-mqtt, connect, and serve the network."""
    (file,) = (shared_folder() / "tutorials").glob(f"{page}_*.txt")
    blocks = re.findall(r"^```python\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "paho" in block and ".connect(" in block and ".loop" in block]


def program(page: str, number: int, broker: Broker, folder: pathlib.Path, mongodb: int = 0) -> Program:
    """One of them, for this broker, running under the Python of the tests."""
    text = programs(page)[number]
    for written, meant in (
        ("'broker.emqx.io'", "'127.0.0.1'"),
        ("port = 1883", f"port = {broker.port}"),
        ('connect("localhost")', f'connect("127.0.0.1", {broker.port})'),
        ('connect("192.168.1.165", 1883, 60)', f'connect("127.0.0.1", {broker.port}, 60)'),
        ("# username = 'emqx'", f"username = '{USER}'"),
        ("# password = 'public'", f"password = '{PASSWORD}'"),
        ("mongodb://localhost:27017/", f"mongodb://127.0.0.1:{mongodb}/"),
        # Of one name with the subscriber, whose number is 100 at most, they would take over from each other for ever.
        ("random.randint(0, 1000)", "random.randint(101, 1000)"),
    ):
        text = text.replace(written, meant)
    path = folder / f"{page}_{number}_{broker.port}.py"
    path.write_text(text)
    return Program(sys.executable, path)


def test_the_pages_have_ten_complete_programs() -> None:
    assert [len(programs(page)) for page in PAGES] == [2, 3, 1, 2, 2]


@pytest.fixture(params=["mosquitto", "karere_broker"])
def broker(request: pytest.FixtureRequest) -> Broker:
    chosen: Broker = request.getfixturevalue(request.param)
    return chosen


@pytest.mark.parametrize(("page", "topic"), [("000", "python/mqtt"), ("003", "/python/mqtt"), ("004", "python/mqtt")])
def test_what_the_page_publishes_its_subscriber_prints(
    page: str, topic: str, broker: Broker, tmp_path: pathlib.Path
) -> None:
    with program(page, 1, broker, tmp_path) as subscriber:
        subscriber.wait_for("Connected to MQTT Broker!")
        with program(page, 0, broker, tmp_path) as publisher:
            publisher.wait_for("Connected to MQTT Broker!")
            publisher.wait_for(f"^Send `messages: [0-9]+` to topic `{topic}`$", times=2)
            subscriber.wait_for(f"^Received `messages: [0-9]+` from `{topic}` topic$", times=2)
            assert publisher.process.poll() is None


def test_the_thermometer_is_heard_and_stored(broker: Broker, tmp_path: pathlib.Path, mongodb: int) -> None:
    from pymongo import MongoClient

    with program("001", 0, broker, tmp_path) as subscriber, program("001", 1, broker, tmp_path, mongodb) as keeper:
        for listener in (subscriber, keeper):
            listener.wait_for("Connected with result code 0")
        with program("001", 2, broker, tmp_path) as publisher:
            for listener in (subscriber, keeper):
                listener.wait_for(r"^ iot/home2/temp 25\.\d+$", times=2)
            assert publisher.process.poll() is None
        # With another broker's test before this one there are more: these are the last.
        client: Any = MongoClient(f"mongodb://127.0.0.1:{mongodb}/")
        kept = [document["value"] for document in client.iot_service.sensors.find({"topic": "iot/home2/temp"})]
        heard = [float(line.split()[-1]) for line in keeper.printed if "iot/home2/temp" in line]
        # It prints first and stores then.
        assert heard[:-1] == [value for value in kept if value in heard[:-1]]


@pytest.fixture(scope="module")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of something that answers as MongoDB does."""
    from pymongo import MongoClient

    port = free_port()
    server = pathlib.Path(sys.executable).with_name("secantusd-py")
    with Program(server, "--port", port, "--storage-path", tmp_path_factory.mktemp("mongodb")):
        # Waits itself until there is a server.
        MongoClient(f"mongodb://127.0.0.1:{port}/", serverSelectionTimeoutMS=30000).admin.command("ping")
        yield port


def test_the_program_that_talks_to_itself_hears_all_and_ends(broker: Broker, tmp_path: pathlib.Path) -> None:
    with program("002", 0, broker, tmp_path) as talker:
        printed = talker.finish()
    assert printed[0] == "Connection returned with result code:0"
    assert sorted(printed[1:4]) == [
        "Received message, topic:hellopayload:b'Hello world!'",
        "Received message, topic:humiditypayload:b'65%'",
        "Received message, topic:temperaturepayload:b'24.0'",
    ]
    assert printed[4:] == ["Disconnection returned result:0"]
