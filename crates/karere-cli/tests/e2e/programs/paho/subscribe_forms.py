"""connect_async and loop_start; subscribe with a string, a tuple and a list of tuples; unsubscribe."""

from queue import Queue

from common import arguments, new_client, value

options = arguments()
events: Queue = Queue()

client = new_client(options)
client.on_connect = lambda client, userdata, flags, rc, *_: events.put(("connected", value(rc)))
client.on_subscribe = lambda client, userdata, mid, granted, *_: events.put(
    ("subscribed", mid, [value(code) for code in granted])
)
client.on_unsubscribe = lambda client, userdata, mid, *_: events.put(("unsubscribed", mid))
client.on_message = lambda client, userdata, msg: events.put(("message", msg.topic, msg.qos))
client.connect_async(options.host, options.port)
client.loop_start()
print(events.get(timeout=10))

for form in [("my/topic", 2), (("your/topic", 1),), ([("his/topic", 0), ("her/topic", 2)],)]:
    result, mid = client.subscribe(*form)
    assert result == 0
    what, acknowledged, granted = events.get(timeout=10)
    assert (what, acknowledged) == ("subscribed", mid)
    print(f"granted {granted}")

for who in ["my", "your", "his", "her"]:
    client.publish(f"{who}/topic", "hello", 2).wait_for_publish(10)
    print(events.get(timeout=10))

result, mid = client.unsubscribe("my/topic")
assert events.get(timeout=10) == ("unsubscribed", mid)
client.unsubscribe(["your/topic", "his/topic"])
events.get(timeout=10)
for who in ["my", "your", "his", "her"]:
    client.publish(f"{who}/topic", "hello again", 2).wait_for_publish(10)
print(events.get(timeout=10))

client.disconnect()
client.loop_stop()
assert events.empty()
