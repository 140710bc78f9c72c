"""Version 5: properties of a message, of a subscription and of the connection, and reason codes."""

from queue import Queue

from common import arguments, new_client, value
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from paho.mqtt import client as mqtt

options = arguments()
events: Queue = Queue()


def on_message(client, userdata, msg):
    events.put((msg.topic, msg.payload, msg.properties))


client = new_client(options, "", protocol=mqtt.MQTTv5)
client.on_connect = lambda client, userdata, flags, rc, properties: events.put((value(rc), properties))
client.on_subscribe = lambda client, userdata, mid, codes, *_: events.put([value(code) for code in codes])
client.on_message = on_message

connect = Properties(PacketTypes.CONNECT)
connect.SessionExpiryInterval = 60
connect.UserProperty = ("program", "properties.py")
client.connect(options.host, options.port, clean_start=True, properties=connect)
client.loop_start()
code, properties = events.get(timeout=10)
print(code, "named by the broker" if properties.AssignedClientIdentifier else "nameless")

subscribe = Properties(PacketTypes.SUBSCRIBE)
subscribe.SubscriptionIdentifier = 4711
client.subscribe("order/#", options=mqtt.SubscribeOptions(qos=1, retainAsPublished=True), properties=subscribe)
print(events.get(timeout=10))

order = Properties(PacketTypes.PUBLISH)
order.ContentType = "text/plain"
order.ResponseTopic = "order/answer"
order.CorrelationData = b"no-17"
order.MessageExpiryInterval = 600
order.PayloadFormatIndicator = 1
order.UserProperty = [("shop", "kiwi"), ("shop", "moa")]
client.publish("order/new", "kumara", qos=1, properties=order).wait_for_publish(10)
topic, payload, got = events.get(timeout=10)
print(topic, payload, got.ContentType, got.ResponseTopic, got.CorrelationData, got.PayloadFormatIndicator)
print(got.UserProperty, got.SubscriptionIdentifier, 590 <= got.MessageExpiryInterval <= 600)

client.disconnect()
client.loop_stop()
