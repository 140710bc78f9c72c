"""The tutorials' subscriber: connect, subscribe, loop_forever."""

import random

from common import arguments, new_client

options = arguments(protocol=4)
received = 0


def connect_mqtt():
    def on_connect(client, userdata, flags, rc, *_):
        if rc == 0:
            print("Connected to MQTT Broker!")
        else:
            print(f"Failed to connect, return code {rc}")

    client = new_client(options, f"python-mqtt-{random.randint(0, 100000)}", protocol=options.protocol)
    client.on_connect = on_connect
    client.connect(options.host, options.port)
    return client


def subscribe(client):
    def on_message(client, userdata, msg):
        global received
        print(f"Received `{msg.payload.decode()}` from `{msg.topic}` topic")
        received += 1
        if received == options.count:
            client.disconnect()

    client.subscribe(options.topic, options.qos)
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("Subscribed")


client = connect_mqtt()
subscribe(client)
client.loop_forever()
print("--- End Main Thread ---")
