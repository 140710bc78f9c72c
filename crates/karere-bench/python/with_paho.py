"""paho-mqtt, genuine or ours: one program, unchanged."""

import queue
import threading
import time
import warnings

import paho.mqtt.client as mqtt
from load import TOPIC, WINDOW


def connected(run, **callbacks):
    warnings.simplefilter("ignore")  # 2.x about the callbacks of 1.x, which is what all of them have
    if hasattr(mqtt, "CallbackAPIVersion"):
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION1)
    else:
        client = mqtt.Client()
    client.max_inflight_messages_set(WINDOW)
    up = threading.Event()
    client.on_connect = lambda *_: up.set()
    for name, callback in callbacks.items():
        setattr(client, name, callback)
    client.connect("127.0.0.1", run.port)
    client.loop_start()
    up.wait()
    return client


def left(client):
    client.disconnect()
    client.loop_stop()


def publish(run):
    done = threading.Event()
    got = 0

    def on_publish(client, userdata, mid):
        nonlocal got
        got += 1
        if got == run.count:
            done.set()

    client = connected(run, on_publish=on_publish)
    run.begin()
    for _ in range(run.count):
        client.publish(TOPIC, run.payload, run.qos)
    done.wait()
    run.end(got)
    left(client)


def receive(run):
    done = threading.Event()
    got = 0

    def on_message(client, userdata, message):
        nonlocal got
        got += 1
        if got == run.count:
            done.set()

    client = connected(run, on_message=on_message)
    run.begin()
    client.subscribe(run.fire, run.qos)
    done.wait()
    run.end(got)
    left(client)


def latency(run):
    found = []
    arrived = queue.SimpleQueue()
    client = connected(run, on_publish=lambda *_: arrived.put(time.perf_counter()))
    run.begin()
    for _ in range(run.count):
        since = time.perf_counter()
        client.publish(TOPIC, run.payload, 1)
        found.append(arrived.get() - since)
    run.end(run.count, found)
    left(client)
