"""karere.Client against both brokers."""

from __future__ import annotations

import pathlib
import threading
import time
from typing import Any

import pytest

import karere
from certificates import Authority
from conftest import Broker, free_port, start_mosquitto
from karere import QoS, ReasonCode
from taking import take


def client(port: int, **options: object) -> karere.Client:
    return karere.Client("127.0.0.1", port, **options)  # type: ignore[arg-type]


def test_a_message_comes_back_as_it_was_sent(port: int, topic: str) -> None:
    with client(port) as c:
        assert c.subscribe(topic, QoS.EXACTLY_ONCE, subscription_id=7) == (ReasonCode.GRANTED_QOS_2,)
        sent = karere.Properties(
            content_type="text/plain",
            response_topic="answers",
            correlation_data=b"\x00\x01",
            message_expiry_interval=60,
            user_properties=[("room", "kitchen"), ("room", "hall")],
        )
        assert c.publish(topic, "25.3 °C", qos=2, properties=sent).wait(20) == ReasonCode.SUCCESS
        message = take(c.messages)
        assert (message.topic, message.payload) == (topic, "25.3 °C".encode())
        assert (message.qos, message.retain, message.dup) == (QoS.EXACTLY_ONCE, False, False)
        assert isinstance(message.qos, QoS)
        assert message.subscription_ids == (7,)
        assert message.properties == sent
        assert message.properties.user_properties == (("room", "kitchen"), ("room", "hall"))


@pytest.mark.parametrize("version", [karere.Version.V311, karere.Version.V31])
def test_the_older_versions_work_too(port: int, topic: str, version: karere.Version) -> None:
    with client(port, version=version) as c:
        assert c.subscribe(topic, 1) == (ReasonCode.GRANTED_QOS_1,)
        c.publish(topic, b"x", 1).wait(20)
        message = take(c.messages)
        assert message.payload == b"x" and not message.properties


@pytest.mark.parametrize("payload", [b"bytes", bytearray(b"bytes"), memoryview(b"bytes"), "bytes"])
def test_a_payload_is_any_buffer_or_text(karere_broker: Broker, topic: str, payload: bytes) -> None:
    with client(karere_broker.port) as c:
        c.subscribe(topic)
        c.publish(topic, payload)
        message = take(c.messages)
        assert message.payload == b"bytes"


def test_several_filters_are_asked_for_at_once(port: int, topic: str) -> None:
    with client(port) as c:
        asked: list[Any] = [topic, (topic + "/b", 1), karere.Subscription(topic + "/c", 2, no_local=True)]
        assert c.subscribe(asked, qos=0) == (0, 1, 2)
        assert c.unsubscribe([topic, topic + "/b"]) == (0, 0)
        c.publish(topic + "/c", "own", 1).wait(20)  # no local
        assert len(c.messages) == 0


def test_all_of_many_messages_arrive_in_order_at_each_qos(port: int, topic: str) -> None:
    with client(port) as c:
        c.subscribe(topic + "/#", 2)
        for qos in QoS:
            for number in range(300):
                c.publish(f"{topic}/{qos}", str(number), qos)
        got: dict[QoS, list[int]] = {qos: [] for qos in QoS}
        for message in c:
            got[message.qos].append(int(message.payload))
            if sum(map(len, got.values())) == 900:
                break
        assert got == {qos: list(range(300)) for qos in QoS}


def test_a_stream_gets_its_own_messages_and_the_client_the_rest(port: int, topic: str) -> None:
    with client(port) as c:
        c.subscribe(topic + "/rest", 1)
        with c.stream(topic + "/own/+", 1) as own, c.stream(topic + "/own/x", 1) as narrow:
            assert own.granted == (ReasonCode.GRANTED_QOS_1,)
            for name in ("/own/x", "/own/y", "/rest"):
                c.publish(topic + name, name, 1).wait(20)
            first = take(own)
            assert first.payload == b"/own/x"
            second = take(own)
            # A broker may send one that two subscriptions match once or twice.
            while second is not None and second.payload == b"/own/x":
                second = take(own)
                assert second.payload == b"/own/y"
            exact = take(narrow)
            assert exact.payload == b"/own/x"
        assert take(c.messages).payload == b"/rest"
        c.publish(topic + "/own/x", "after the streams", 1).wait(20)
        assert len(c.messages) == 0


def test_a_message_is_acknowledged_when_the_next_is_asked_for(karere_broker: Broker, topic: str) -> None:
    with client(karere_broker.port, receive_maximum=1) as c, client(karere_broker.port) as other:
        c.subscribe(topic, 1)
        for number in range(3):
            other.publish(topic, str(number), 1).wait(20)
        messages = c.messages
        first = take(messages)
        assert first.payload == b"0"
        c.unsubscribe("nothing")  # whatever the server had to send before its answer is there now
        assert len(messages) == 0
        second = take(messages)
        assert second.payload == b"1"


def test_by_hand_a_message_is_acknowledged_by_ack_alone(karere_broker: Broker, topic: str) -> None:
    with client(karere_broker.port, receive_maximum=1, manual_ack=True) as c:
        c.subscribe(topic, 1)
        for number in range(2):
            c.publish(topic, str(number), 1).wait(20)
        first = take(c.messages)
        with pytest.raises(TimeoutError):
            c.messages.get(0.05)
        first.ack()
        first.ack()
        second = take(c.messages)
        assert second.payload == b"1"


def test_what_one_loop_leaves_the_next_one_gets(karere_broker: Broker, topic: str) -> None:
    with client(karere_broker.port) as c:
        c.subscribe(topic, 1)
        for number in range(200):
            c.publish(topic, str(number), number % 2)
        c.drain(20)
        c.unsubscribe(topic)
        got = []
        for _ in range(10):
            for message in c:
                got.append(int(message.payload))
                if len(got) % 20 == 0:
                    break
        assert got == list(range(200))


def test_a_consumer_that_is_behind_loses_the_oldest_at_qos_0_and_nothing_else(
    karere_broker: Broker, topic: str
) -> None:
    with client(karere_broker.port, stream_bytes_max=2000) as c, client(karere_broker.port) as other:
        c.subscribe(topic + "/#", 1)
        for number in range(100):
            other.publish(topic + "/0", bytes([number]) * 100, 0)
            other.publish(topic + "/1", bytes([number]) * 100, 1)
        other.drain(20)
        c.publish(topic + "/end", "", 1).wait(20)
        got: dict[str, list[int]] = {"0": [], "1": []}
        for message in c:
            if message.topic.endswith("end"):
                break
            got[message.topic[-1]].append(message.payload[0])
        assert got["1"] == list(range(100))
        assert 0 < len(got["0"]) < 30 and got["0"] == list(range(100))[-len(got["0"]) :]
        assert c.dropped == 100 - len(got["0"])


def test_errors_say_what_is_wrong(karere_broker: Broker) -> None:
    with client(karere_broker.port) as c:
        with pytest.raises(ValueError, match="wildcard"):
            c.publish("a/#", "x")
        with pytest.raises(ValueError, match="QoS 3"):
            c.publish("a", "x", 3)
        with pytest.raises(TypeError, match="bytes, bytearray, memoryview, str or None, not int"):
            c.publish("a", 5)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="`#`"):
            c.subscribe("a/#/b")
        with pytest.raises(ValueError, match="at least one"):
            c.subscribe([])
        with pytest.raises(RuntimeError, match="`with` block"):
            c.stream("a").get()
    with pytest.raises(karere.ClosedError):
        c.publish("a", "x")
    with pytest.raises(TypeError, match='no argument "keepalive"'):
        client(1, keepalive=3)
    with pytest.raises(TypeError, match='no property "colour"'):
        karere.Properties(colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="may not be 0"):
        karere.Properties(receive_maximum=0)


def test_a_server_that_is_not_there_is_a_connect_error() -> None:
    with pytest.raises(karere.ConnectError, match="cannot connect to 127") as caught:
        client(free_port()).connect()
    assert isinstance(caught.value, ConnectionError)


def test_bad_credentials_are_refused_with_the_reason(tmp_path: pathlib.Path) -> None:
    broker = start_mosquitto(tmp_path, "allow_anonymous false\n")
    try:
        with client(broker.port, username="user", password="pass") as c:
            assert c.is_connected
        with pytest.raises(karere.RefusedError) as caught:
            client(broker.port, username="user", password="wrong").connect()
        assert caught.value.reason == ReasonCode.NOT_AUTHORIZED
        with karere.Client(f"mqtt://user:pass@127.0.0.1:{broker.port}") as c:
            assert c.is_connected
    finally:
        broker.stop()


def test_a_session_that_is_kept_brings_what_was_missed(port: int, topic: str) -> None:
    session = {"client_id": topic.replace("/", "-"), "clean_start": False, "session_expiry": 60}
    with client(port, **session) as c:
        assert not c.session_present
        c.subscribe(topic, 1)
    with client(port) as other:
        other.publish(topic, "missed", 1).wait(20)
    with client(port, **session) as c:
        assert c.session_present
        message = take(c.messages)
        assert message.payload == b"missed"
        c.unsubscribe(topic)


def test_eight_threads_publish_while_two_receive(port: int, topic: str) -> None:
    count = 500
    got: list[bytes] = []
    with client(port) as c:
        c.subscribe(topic, 1)

        def receive() -> None:
            for message in c:
                got.append(message.payload)

        def publish(thread: int) -> None:
            deliveries = [c.publish(topic, f"{thread} {number}", 1) for number in range(count)]
            for delivery in deliveries:
                delivery.wait(60)

        receivers = [threading.Thread(target=receive) for _ in range(2)]
        publishers = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
        for thread in receivers + publishers:
            thread.start()
        for thread in publishers:
            thread.join()
        deadline = time.monotonic() + 30
        while len(got) < 8 * count and time.monotonic() < deadline:
            time.sleep(0.01)
    for thread in receivers:
        thread.join(20)  # the end of the client is the end of their loops
        assert not thread.is_alive()
    assert sorted(got) == sorted(f"{t} {n}".encode() for t in range(8) for n in range(count))


def test_a_publisher_waits_when_too_many_messages_wait(karere_broker: Broker, topic: str) -> None:
    with client(karere_broker.port, queue_count_max=50, inflight_max=10) as c:
        for number in range(1000):
            c.publish(topic, str(number), 1)
        assert c.drain(20)
    offline = client(karere_broker.port, queue_count_max=50)
    with pytest.raises(karere.QueueFullError, match="queue is full"):
        for _ in range(100):
            offline.publish(topic, "x", 1)


def test_the_enums_are_the_protocols() -> None:
    source = pathlib.Path(__file__).parents[3] / "crates/karere-core/src/codec/reason_code.rs"
    rows = [line.split('"') for line in source.read_text().splitlines() if line.startswith("    0x")]
    table = {int(row[0].split()[0], 16): row[1] for row in rows if len(row) > 2}
    ours = {int(code): code.name for code in ReasonCode}
    assert {code: name.upper().replace(" ", "_").replace("-", "_") for code, name in table.items()} == ours
    assert not ReasonCode.GRANTED_QOS_2.is_error and ReasonCode.UNSPECIFIED_ERROR.is_error


def test_messages_and_properties_show_themselves() -> None:
    properties = karere.Properties(content_type="x", maximum_qos=1, user_properties={"a": "b"})
    assert repr(karere.Message("a", "b", 1, True)) == "Message('a', b'b', qos=1, retain=True)"
    assert repr(karere.Properties(content_type="x")) == "Properties(content_type='x')"
    assert properties == karere.Properties(content_type="x", maximum_qos=1, user_properties=[("a", "b")])
    assert not karere.Properties() and hash(properties) == hash(properties)


def test_it_speaks_tls_and_checks_who_is_there(tmp_path: pathlib.Path, topic: str) -> None:
    ours = Authority(tmp_path)
    broker = start_mosquitto(tmp_path, ours.configuration)
    try:
        with karere.Client(f"mqtts://localhost:{broker.port}", tls=karere.Tls(ca_file=ours.certificate)) as c:
            c.subscribe(topic, 1)
            payload = bytes(range(256)) * 8000
            c.publish(topic, payload, 1).wait(20)
            assert take(c.messages).payload == payload
        with pytest.raises(karere.ConnectError, match=r"(?i)certificate"):
            karere.Client("localhost", broker.port, tls=True).connect()
        with pytest.raises(ValueError, match="mqtts://"):
            karere.Client("mqtt://localhost", tls=True)
    finally:
        broker.stop()


def test_a_client_may_connect_again_after_disconnect(karere_broker: Broker, topic: str) -> None:
    c = client(karere_broker.port)
    for _ in range(2):
        with c:
            with pytest.raises(RuntimeError, match="connected already"):
                c.connect()
            c.subscribe(topic)
            c.publish(topic, "x", 1).wait(20)
            assert take(c.messages).payload == b"x"
