"""A thermometer without threads: it measures, publishes, and serves the network in between.

usage: sensor.py [host [port [count]]]
"""

import sys
from random import random

import paho.mqtt.client as mqtt

HOST = sys.argv[1] if len(sys.argv) > 1 else "localhost"
PORT = int(sys.argv[2]) if len(sys.argv) > 2 else 1883
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 10

client = mqtt.Client()
client.connect(HOST, PORT)

for _ in range(COUNT):
    temperature = 25 + random()
    client.publish("greenhouse/temperature", temperature)
    print(f"measured about {int(temperature)} degrees")
    client.loop(2)

client.disconnect()
