"""karere.paho's one keyword more: `store`."""

from __future__ import annotations

import pathlib
import select
import threading

import pytest

import karere
from karere.paho import client as mqtt
from karere.paho.properties import Properties

from .scripted import CONNACK, CONNACK_5, Script, Told, ack, new_client, publish

RESUMED = b"\x20\x02\x01\x00"


def stored(folder: pathlib.Path, **options: object) -> mqtt.Client:
    return new_client("c", store=folder / "store", **options)


def test_c1_what_was_published_before_there_was_a_connection_is_sent_by_the_next_client(
    tmp_path: pathlib.Path,
) -> None:
    client = stored(tmp_path)
    assert client.publish("t", "x", 1).mid == 1
    assert client.publish("t", "y", 2).rc == mqtt.MQTT_ERR_NO_CONN
    del client
    with Script() as script:
        client = stored(tmp_path)
        told = Told()
        client.on_publish = lambda _client, _userdata, mid, *_: told.add(mid)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        # A session that is kept here is to be kept there: clean session is off.
        assert script.accept(RESUMED)[9] & 0x02 == 0
        assert script.packet() == publish("t", b"x", 1, 1, dup=True)
        assert script.packet() == publish("t", b"y", 2, 2, dup=True)
        script.send(ack(0x40, 1) + ack(0x50, 2))
        assert script.packet() == ack(0x62, 2)
        script.send(ack(0x70, 2))
        assert told.wait(2) == [1, 2]
        info = client.publish("t", "z", 1)
        assert script.packet() == publish("t", b"z", 1, 3)
        script.send(ack(0x40, 3))
        info.wait_for_publish(10)
        client.disconnect()
        client.loop_stop()


def test_c1_where_the_server_has_lost_the_session_pubrec_counts_as_delivered(tmp_path: pathlib.Path) -> None:
    with Script() as script:
        client = stored(tmp_path)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        client.publish("t", "1", 2)
        client.publish("t", "2", 1)
        assert script.packet() == publish("t", b"1", 2, 1)
        assert script.packet() == publish("t", b"2", 1, 2)
        script.send(ack(0x50, 1))
        assert script.packet() == ack(0x62, 1)
        script.accept(CONNACK)
        assert script.packet() == publish("t", b"2", 1, 2)
        script.send(ack(0x40, 2))
        client.loop_stop()


def test_c2_c3_a_message_is_answered_when_its_callback_has_returned_and_does_not_come_again(
    tmp_path: pathlib.Path,
) -> None:
    with Script() as script:
        client = stored(tmp_path)
        told, go = Told(), threading.Event()

        def on_message(_client: object, _userdata: object, message: mqtt.MQTTMessage) -> None:
            told.add(message.payload)
            assert go.wait(10)

        client.on_message = on_message
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        script.send(publish("t", b"once", 2, 5))
        assert told.wait(1) == [b"once"]
        assert script.conn is not None
        assert select.select([script.conn], [], [], 0.05)[0] == [], "answered before its callback has returned"
        go.set()
        assert script.packet() == ack(0x50, 5)
        client.loop_stop()
        script.drop()
        del client, on_message

        client = stored(tmp_path)
        client.on_message = lambda _client, _userdata, message: told.add(message.payload)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept(RESUMED)
        script.send(publish("t", b"once", 2, 5, dup=True))
        assert script.packet() == ack(0x50, 5)
        script.send(ack(0x62, 5))
        assert script.packet() == ack(0x70, 5)
        script.send(publish("t", b"another", 2, 5))
        assert script.packet() == ack(0x50, 5)
        assert told.wait(2) == [b"once", b"another"]
        client.loop_stop()


@pytest.mark.parametrize("way", ["no loop", "loop", "loop_read and loop_write"])
def test_without_a_thread_it_is_on_the_wire_when_the_disk_has_it(tmp_path: pathlib.Path, way: str) -> None:
    with Script() as script:
        client = stored(tmp_path)
        registered: list[str] = []
        if way == "loop_read and loop_write":
            client.on_socket_register_write = lambda *_: registered.append("register")
            client.on_socket_unregister_write = lambda *_: registered.append("unregister")
        accepting = threading.Thread(target=script.accept)
        accepting.start()
        client.connect("127.0.0.1", script.port)
        if registered:
            client.loop_write()
        accepting.join()
        while not client.is_connected():
            client.loop_read() if registered else client.loop(0.1)
        registered.clear()
        client.publish("t", "x", 1)
        if way == "loop":
            client.loop(1)
        if way == "loop_read and loop_write":
            assert client.want_write()
            assert registered == ["register"]
            client.loop_write()
            assert not client.want_write()
        assert script.packet() == publish("t", b"x", 1, 1)


def test_the_first_connection_of_the_next_process_does_not_start_clean_on_version_5(tmp_path: pathlib.Path) -> None:
    with Script() as script:
        properties = Properties(1)
        properties.SessionExpiryInterval = 3600
        starts = []
        for _ in range(2):
            client = stored(tmp_path, protocol=mqtt.MQTTv5)
            client.connect("127.0.0.1", script.port, properties=properties)
            client.loop_start()
            starts.append(script.accept(CONNACK_5)[9] & 0x02)
            while not client.is_connected():
                pass
            client.disconnect()
            client.loop_stop()
            script.drop()
            del client
        assert starts == [0x02, 0]


def test_a_store_that_somebody_else_has_is_an_error_and_reinitialise_keeps_ours(tmp_path: pathlib.Path) -> None:
    client = stored(tmp_path)
    with pytest.raises(karere.StoreError, match="in use by process"):
        stored(tmp_path)
    client.reinitialise("c")
    assert client.publish("t", "x", 1).mid == 1


def test_store_is_a_keyword_alone_and_without_it_nothing_is_written(tmp_path: pathlib.Path) -> None:
    with pytest.raises(TypeError):
        mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "c", None, None, mqtt.MQTTv311, "tcp", True, False, "store")
    new_client("c").publish("t", "x", 1)
    assert list(tmp_path.iterdir()) == []
