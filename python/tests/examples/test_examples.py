"""examples/python: each program prints the same under karere and under genuine paho-mqtt 1.6.1."""

from __future__ import annotations

import pytest

from conftest import ROOT, Broker, genuine, ours
from programs import Program

EXAMPLES = ROOT / "examples/python"
PYTHONS = {"karere": ours, "paho-mqtt 1.6.1": lambda: [genuine("1.6.1")]}


def printed(which: str, broker: Broker, name: str, *options: object) -> list[str]:
    with Program(*PYTHONS[which](), EXAMPLES / name, "127.0.0.1", broker.port, *options) as program:
        return program.finish()


def conversation(which: str, broker: Broker, talker: str, count: int) -> list[list[str]]:
    """What the subscriber and another program print while they talk."""
    with Program(*PYTHONS[which](), EXAMPLES / "subscriber.py", "127.0.0.1", broker.port, count) as subscriber:
        subscriber.wait_for("subscribed")
        said = printed(which, broker, talker, count)
        return [subscriber.finish(), said]


def test_the_subscriber_prints_what_the_publisher_sends(karere_broker: Broker) -> None:
    answers = {which: conversation(which, karere_broker, "publisher.py", 2) for which in PYTHONS}
    assert answers["karere"] == answers["paho-mqtt 1.6.1"]
    assert answers["karere"] == [
        [
            "connected with result code 0, flags {'session present': 0}",
            "subscribed, granted (0,)",
            "greenhouse/door: opened 0 times (QoS 0)",
            "greenhouse/door: opened 1 times (QoS 0)",
            "disconnected: True",
        ],
        ["connected", "sent 0 as message 1", "sent 1 as message 2"],
    ]


def test_the_sensor_needs_no_thread(karere_broker: Broker) -> None:
    for which in PYTHONS:
        heard, said = conversation(which, karere_broker, "sensor.py", 3)
        assert said == ["measured about 25 degrees"] * 3
        assert [line.partition(": 25.")[0] for line in heard[2:5]] == ["greenhouse/temperature"] * 3


@pytest.mark.parametrize("broker", ["karere_broker", "mosquitto"])
def test_several_subscriptions_are_answered_and_served(broker: str, request: pytest.FixtureRequest) -> None:
    chosen: Broker = request.getfixturevalue(broker)
    answers = {which: printed(which, chosen, "two_topics.py") for which in PYTHONS}
    assert answers["karere"] == answers["paho-mqtt 1.6.1"]
    assert answers["karere"] == [
        "request 1 granted: (0,)",
        "request 2 granted: (1, 2)",
        "shop/bell b'ding' QoS 0",
        "shop/oven b'200' QoS 2",
        "shop/till b'9.50' QoS 1",
    ]
