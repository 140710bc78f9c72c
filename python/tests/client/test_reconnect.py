"""What is sent again, in which order, and what who waits is told."""

from __future__ import annotations

import pytest

from karere.paho import client as mqtt

from .scripted import CONNACK, CONNACK_5, Script, Told, ack, new_client, publish


def test_unacknowledged_messages_are_sent_again_with_dup_and_their_mid_though_the_session_is_new() -> None:
    with Script() as script:
        client = new_client("c")
        client.on_connect = lambda c, *_: c.subscribe("s")
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        assert script.packet()[0] == 0x82
        info = client.publish("t", "x", 1)
        assert script.packet() == publish("t", b"x", 1, 2)
        script.accept(CONNACK)
        # What on_connect asks for goes before what is sent again.
        assert script.packet()[:4] == b"\x82\x06\x00\x03"
        assert script.packet() == publish("t", b"x", 1, 2, dup=True)
        script.send(ack(0x40, 2))
        info.wait_for_publish(5)
        assert info.is_published()
        client.disconnect()
        client.loop_stop()


def test_a_released_message_goes_on_with_pubrel() -> None:
    with Script() as script:
        client = new_client("c")
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        info = client.publish("t", "x", 2)
        assert script.packet() == publish("t", b"x", 2, 1)
        script.send(ack(0x50, 1))
        assert script.packet() == ack(0x62, 1)
        script.accept()
        assert script.packet() == ack(0x62, 1)
        script.send(ack(0x70, 1))
        info.wait_for_publish(5)
        client.disconnect()
        client.loop_stop()


def test_offline_a_message_waits_and_says_so_and_is_sent_after_connecting() -> None:
    with Script() as script:
        client = new_client("c")
        info = client.publish("t", "x", 1)
        assert info.rc == mqtt.MQTT_ERR_NO_CONN
        with pytest.raises(RuntimeError, match="not currently connected"):
            info.is_published()
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        assert script.packet() == publish("t", b"x", 1, 1)
        script.send(ack(0x40, 1))
        info.wait_for_publish(5)
        assert info.is_published() and info.rc == mqtt.MQTT_ERR_SUCCESS
        client.disconnect()
        client.loop_stop()


def test_disconnecting_wakes_who_waits_for_a_message_that_nobody_will_send() -> None:
    with Script() as script:
        client = new_client("c")
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        info = client.publish("t", "x", 1)
        assert script.packet()
        client.disconnect()
        with pytest.raises(RuntimeError):
            info.wait_for_publish(10)
        client.loop_stop()


def test_a_lost_connection_wakes_who_waits_when_nobody_connects_again() -> None:
    with Script() as script:
        client = new_client("c", reconnect_on_failure=False)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        info = client.publish("t", "x", 1)
        assert script.packet()
        script.drop()
        with pytest.raises(RuntimeError):
            info.wait_for_publish(10)
        client.loop_stop()


def test_the_servers_receive_maximum_bounds_what_is_in_flight() -> None:
    with Script() as script:
        client = new_client("c", protocol=mqtt.MQTTv5)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept(b"\x20\x06\x00\x00\x03\x21\x00\x01")  # Receive Maximum 1
        while not client.is_connected():
            pass
        first, second = client.publish("t", "1", 1), client.publish("t", "2", 1)
        assert script.packet() == b"\x32\x07\x00\x01t\x00\x01\x001"
        # A QoS 0 message is not bounded, and shows that the second is held back.
        client.publish("t", "0", 0)
        assert script.packet() == b"\x30\x05\x00\x01t\x000"
        script.send(ack(0x40, 1))
        assert script.packet() == b"\x32\x07\x00\x01t\x00\x02\x002"
        script.send(ack(0x40, 2))
        first.wait_for_publish(5)
        second.wait_for_publish(5)
        client.disconnect()
        client.loop_stop()


def test_a_pubrec_that_refuses_ends_the_exchange_and_tells_on_publish() -> None:
    told = Told()
    with Script() as script:
        client = new_client("c", protocol=mqtt.MQTTv5)
        client.on_publish = lambda c, u, mid, reason, properties: told.add((mid, str(reason)))
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept(CONNACK_5)
        client.publish("t", "x", 2)
        assert script.packet()[0] == 0x34
        script.send(b"\x50\x03\x00\x01\x97")
        assert told.wait(1) == [(1, "Quota exceeded")]
        client.disconnect()
        assert script.packet() == b"\xe0\x00"
        client.loop_stop()


def test_without_a_loop_what_is_asked_for_is_written_before_the_call_returns() -> None:
    with Script() as script:
        client = new_client("c")
        client.connect("127.0.0.1", script.port)
        client.publish("t", "x")
        client.subscribe("s")
        client.disconnect()
        script.accept(None)
        assert script.packet() == publish("t", b"x")
        assert script.packet() == b"\x82\x06\x00\x02\x00\x01s\x00"
        assert script.packet() == b"\xe0\x00"
        assert script.packet() == b""
