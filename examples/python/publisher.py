"""Publishes a numbered message a second; the network is served by a thread of the client's own.

usage: publisher.py [host [port [count]]]
"""

import sys
import time

import paho.mqtt.client as mqtt

HOST = sys.argv[1] if len(sys.argv) > 1 else "localhost"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 10
TOPIC = "greenhouse/door"


def on_connect(client, userdata, flags, rc):
    print("connected" if rc == 0 else f"refused: {mqtt.connack_string(rc)}")


client = mqtt.Client()
client.on_connect = on_connect
client.connect(HOST, PORT)
client.loop_start()

for number in range(COUNT):
    time.sleep(1)
    result = client.publish(TOPIC, f"opened {number} times")
    # The first is the return code, the second the number of the message.
    if result[0] == 0:
        print(f"sent {number} as message {result[1]}")
    else:
        print(f"could not send {number}: {mqtt.error_string(result[0])}")

client.disconnect()
client.loop_stop()
