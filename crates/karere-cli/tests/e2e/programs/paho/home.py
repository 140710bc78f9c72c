"""A house: a sensor that drives its own loop, and a listener that subscribes when it is connected."""

from random import random
from threading import Thread

from common import arguments, new_client

options = arguments()
seen = []


def on_connect(client, userdata, flags, rc, *_):
    if rc == 0:
        client.subscribe("iot/#")


def on_message(client, userdata, msg):
    reading = float(msg.payload.decode())
    assert 25 <= reading < 26
    seen.append(msg.topic)
    if len(seen) == options.count:
        client.disconnect()


def on_disconnect(client, userdata, *_):
    print("listener disconnected")


def sense(*_):
    sensor = new_client(options)
    sensor.connect(options.host, options.port)
    for _ in range(options.count):
        sensor.publish("iot/home2/temp", 25 + random())
        sensor.loop(0.1)
    sensor.disconnect()
    sensor.loop(0.1)


listener = new_client(options)
listener.on_connect = on_connect
listener.on_message = on_message
listener.on_disconnect = on_disconnect
listener.on_subscribe = lambda *_: Thread(target=sense).start()
listener.connect(options.host, options.port)
listener.loop_forever()
print(f"{len(seen)} readings of {seen[0]}")
