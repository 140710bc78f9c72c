"""The one-shot helpers: publish.single, publish.multiple, subscribe.simple, subscribe.callback."""

from common import arguments

from paho.mqtt import publish, subscribe

options = arguments()
where = {"hostname": options.host, "port": options.port}

publish.single("shelf/a", "apple", qos=1, retain=True, **where)
publish.multiple([{"topic": "shelf/b", "payload": "bread", "retain": True}, ("shelf/c", "cheese", 2, True)], **where)

one = subscribe.simple("shelf/a", **where)
print(one.topic, one.payload, bool(one.retain))
many = subscribe.simple(["shelf/b", "shelf/c"], qos=2, msg_count=2, **where)
print(sorted((message.topic, message.payload, message.qos) for message in many))


def on_message(client, userdata, message):
    userdata.append(message.topic)
    if len(userdata) == 3:
        client.disconnect()


topics: list = []
subscribe.callback(on_message, "shelf/#", userdata=topics, **where)
print(sorted(topics))
