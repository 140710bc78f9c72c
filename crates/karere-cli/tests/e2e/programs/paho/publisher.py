"""The tutorials' publisher: numbered messages, and the result of each call looked at."""

import random
from threading import Event

from common import arguments, new_client, say

options = arguments(protocol=4)
connected = Event()
acknowledged: set = set()


def connect_mqtt():
    # What comes after the first four differs with the protocol and the generation of the callbacks.
    def on_connect(client, userdata, flags, rc, *_):
        if rc == 0:
            say("Connected to MQTT Broker!")
        else:
            say(f"Failed to connect, return code {rc}")
        connected.set()

    client = new_client(options, f"python-mqtt-{random.randint(0, 100000)}", protocol=options.protocol)
    client.on_connect = on_connect
    client.on_publish = lambda client, userdata, mid, *_: acknowledged.add(mid)
    client.connect(options.host, options.port)
    return client


def publish(client):
    sent = []
    for number in range(options.count):
        message = f"messages: {number}"
        result = client.publish(options.topic, message, options.qos)
        # The result is also a pair: what became of the call, and the message's id.
        if result[0] == 0:
            say(f"Send `{message}` to topic `{options.topic}`")
        else:
            say(f"Failed to send message to topic {options.topic}")
        sent.append(result)
    for result in sent:
        result.wait_for_publish(10)
        assert result.is_published()
    return {result.mid for result in sent}


client = connect_mqtt()
client.loop_start()
assert connected.wait(10)
mids = publish(client)
client.disconnect()
client.loop_stop()
say(f"acknowledged {len(acknowledged & mids)} of {len(mids)}")
