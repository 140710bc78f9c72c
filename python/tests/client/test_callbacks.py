"""What callbacks may do, and what becomes of it when they raise."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from karere.paho import client as mqtt

from .scripted import Script, Told, ack, new_client, publish


def test_an_exception_in_the_loops_thread_goes_to_the_excepthook_and_the_message_is_acknowledged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised, logged = Told(), Told()
    monkeypatch.setattr(threading, "excepthook", lambda args: raised.add(str(args.exc_value)))

    def on_message(client: Any, userdata: Any, message: Any) -> None:
        raise ValueError(message.topic)

    with Script() as script:
        client = new_client("c")
        client.on_message = on_message
        client.on_log = lambda c, u, level, text: logged.add(text) if level == mqtt.MQTT_LOG_ERR else None
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        script.send(publish("a", qos=1, mid=1) + publish("b", qos=1, mid=2))
        assert script.packet() == ack(0x40, 1)
        assert script.packet() == ack(0x40, 2)
        assert raised.wait(2) == ["a", "b"]
        assert logged.wait(2)[0] == "Caught exception in on_message: a"
        client.disconnect()
        client.loop_stop()


def test_an_exception_in_the_callers_thread_reaches_him_and_the_message_is_not_acknowledged() -> None:
    def on_message(client: Any, userdata: Any, message: Any) -> None:
        if message.topic == "a":
            raise ValueError("boom")

    with Script() as script:
        client = new_client("c")
        client.on_message = on_message
        client.connect("127.0.0.1", script.port)
        script.accept()
        while not client.is_connected():
            client.loop(0.1)
        script.send(publish("a", qos=1, mid=1) + publish("b", qos=1, mid=2))
        with pytest.raises(ValueError, match="boom"):
            while True:
                client.loop(1)
        client.loop(0.1)
        # The second one is acknowledged, and the first holds it up no longer than it must.
        assert script.packet() == ack(0x40, 2)
        client.disconnect()


def test_under_manual_ack_messages_are_acknowledged_when_asked_and_in_any_order() -> None:
    seen = Told()
    with Script() as script:
        client = new_client("c", manual_ack=True)
        client.on_message = lambda c, u, message: seen.add((message.mid, message.qos))
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        script.send(publish("a", qos=1, mid=1) + publish("b", qos=1, mid=2) + publish("c", qos=2, mid=3))
        assert script.packet() == ack(0x50, 3)
        script.send(ack(0x62, 3))
        assert seen.wait(3) == [(1, 1), (2, 1), (3, 2)]
        for mid, qos, answer in ((2, 1, 0x40), (3, 2, 0x70), (1, 1, 0x40)):
            assert client.ack(mid, qos) == mqtt.MQTT_ERR_SUCCESS
            assert script.packet() == ack(answer, mid)
        client.disconnect()
        client.loop_stop()


def test_a_callback_that_is_exchanged_counts_from_the_next_message_on() -> None:
    seen = Told()

    def first(client: Any, userdata: Any, message: Any) -> None:
        seen.add("first " + message.topic)
        client.on_message = lambda c, u, message: seen.add("second " + message.topic)

    with Script() as script:
        client = new_client("c")
        client.on_message = first
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        script.send(publish("a") + publish("b") + publish("c"))
        assert seen.wait(3) == ["first a", "second b", "second c"]
        client.disconnect()
        client.loop_stop()


def test_methods_of_a_subclass_are_callbacks() -> None:
    seen = Told()

    class Mine(mqtt.Client):
        def on_connect(self, client: Any, userdata: Any, flags: Any, rc: int) -> None:
            seen.add(("connect", rc))

        def on_message(self, client: Any, userdata: Any, message: Any) -> None:
            seen.add(("message", message.payload))

        def on_publish(self, client: Any, userdata: Any, mid: int) -> None:
            seen.add(("publish", mid))

    with Script() as script:
        client = Mine("c")
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        seen.wait(1)
        client.publish("t", "x")
        seen.wait(2)
        script.send(publish("a", b"b"))
        assert seen.wait(3) == [("connect", 0), ("publish", 1), ("message", b"b")]
        client.disconnect()
        client.loop_stop()


def test_a_message_that_is_kept_stays_what_it_was() -> None:
    kept = Told()
    with Script() as script:
        client = new_client("c")
        client.on_message = lambda c, u, message: kept.add(message)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        for number in range(100):
            script.send(publish(f"t/{number}", str(number).encode(), 1, number + 1))
        messages = kept.wait(100)
        assert [(m.topic, m.payload, m.mid) for m in messages] == [
            (f"t/{n}", str(n).encode(), n + 1) for n in range(100)
        ]
        client.disconnect()
        client.loop_stop()


def test_the_last_mid_is_followed_by_the_first() -> None:
    with Script() as script:
        client = new_client("c")
        for _ in range(65534):
            client.publish("t")
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        assert [client.publish("t").mid for _ in range(3)] == [65535, 1, 2]
        client.disconnect()
        client.loop_stop()
