"""Subscribes to several topics at once and waits for the broker's word on each, then talks to itself.

usage: two_topics.py [host [port]]
"""

import sys
import threading

import paho.mqtt.client as mqtt

HOST = sys.argv[1] if len(sys.argv) > 1 else "localhost"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883

pending = []  # requests to subscribe that the broker has not answered
answered = threading.Event()
seen = []
all_seen = threading.Event()


def on_connect(client, userdata, flags, rc):
    # Noted after the call, as the number is known only then.
    _, mid = client.subscribe("shop/bell", 0)
    pending.append(mid)
    _, mid = client.subscribe([("shop/till", 1), ("shop/oven", 2)])
    pending.append(mid)


def on_subscribe(client, userdata, mid, granted_qos):
    pending.remove(mid)
    print(f"request {mid} granted: {granted_qos}")
    if not pending:
        answered.set()


def on_message(client, userdata, message):
    seen.append(f"{message.topic} {message.payload!r} QoS {message.qos}")
    if len(seen) == 3:
        all_seen.set()


client = mqtt.Client("shop-window", True, None, mqtt.MQTTv311, "tcp")
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.connect(HOST, PORT, 60)
client.loop_start()

answered.wait(10)
client.publish("shop/bell", payload="ding")
client.publish("shop/till", payload="9.50", qos=1)
client.publish("shop/oven", payload=200, qos=2).wait_for_publish()
all_seen.wait(10)
print("\n".join(sorted(seen)))

client.disconnect()
client.loop_stop()
