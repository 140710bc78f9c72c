"""Prints what comes in under a topic, for ever or until so many messages came.

usage: subscriber.py [host [port [count]]]
"""

import sys

import paho.mqtt.client as mqtt

HOST = sys.argv[1] if len(sys.argv) > 1 else "localhost"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 0

received = 0


def on_connect(client, userdata, flags, rc):
    print(f"connected with result code {rc}, flags {flags}", flush=True)
    # Here, so that it is done again when the client has had to connect again.
    client.subscribe("greenhouse/#")


def on_subscribe(client, userdata, mid, granted_qos):
    print(f"subscribed, granted {granted_qos}", flush=True)


def on_message(client, userdata, message):
    global received
    received += 1
    print(f"{message.topic}: {message.payload.decode()} (QoS {message.qos})", flush=True)
    if received == COUNT:
        client.disconnect()


def on_disconnect(client, userdata, rc):
    print(f"disconnected: {rc == 0}")


client = mqtt.Client()
client.on_connect = on_connect
client.on_subscribe = on_subscribe
client.on_message = on_message
client.on_disconnect = on_disconnect
client.connect(HOST, PORT, 60)
client.loop_forever()
