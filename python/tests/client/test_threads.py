"""Many threads and one client."""

from __future__ import annotations

import threading
from typing import Any

from karere.paho import client as mqtt

from .scripted import Told, new_client


def test_eight_threads_publish_while_callbacks_subscribe_and_publish(karere_broker: Any) -> None:
    each, threads = 200, 8
    seen, connected = Told(), threading.Event()
    client = new_client("many")

    def on_message(client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith("many/in/"):
            client.subscribe(f"many/more/{message.payload.decode()}")
            client.publish("many/out/" + message.payload.decode(), message.payload, 1)
        else:
            seen.add(message.payload)

    client.on_message = on_message
    client.on_connect = lambda c, *_: c.subscribe([("many/in/#", 2), ("many/out/#", 1)])
    client.on_subscribe = lambda *_: connected.set()
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", karere_broker.port)
    client.loop_start()
    assert connected.wait(10)

    def work(number: int) -> None:
        for count in range(each):
            info = client.publish(f"many/in/{number}", f"{number}-{count}", count % 3)
            assert info.rc == mqtt.MQTT_ERR_SUCCESS

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    payloads = seen.wait(each * threads, 60)
    assert sorted(payloads) == sorted(f"{n}-{c}".encode() for n in range(threads) for c in range(each))
    client.disconnect()
    client.loop_stop()


def test_who_notes_the_mid_after_subscribe_has_returned_is_before_on_subscribe(karere_broker: Any) -> None:
    pending: list[int] = []
    answered, connected = Told(), threading.Event()

    def on_subscribe(client: Any, userdata: Any, mid: int, granted: Any) -> None:
        pending.remove(mid)  # ValueError if it is not there yet
        answered.add(mid)

    client = mqtt.Client("race")
    client.on_connect = lambda *_: connected.set()
    client.on_subscribe = on_subscribe
    client.connect("127.0.0.1", karere_broker.port)
    client.loop_start()
    assert connected.wait(10)
    for number in range(1000):
        _, mid = client.subscribe(f"race/{number % 7}")
        pending.append(mid)  # type: ignore[arg-type]
        answered.wait(number + 1)
    assert pending == []
    client.disconnect()
    client.loop_stop()
