"""A durable session: what is published while its client is away waits for it, and it remembers its subscriptions."""

from queue import Queue

from common import arguments, new_client

options = arguments()
events: Queue = Queue()


def start(client_id: str, clean_session: bool):
    client = new_client(options, client_id, clean_session=clean_session)
    client.on_connect = lambda client, userdata, flags, rc, *_: events.put(present(flags))
    client.on_subscribe = lambda *_: events.put("subscribed")
    client.on_message = lambda client, userdata, msg: events.put((msg.payload.decode(), msg.qos))
    client.connect(options.host, options.port)
    client.loop_start()
    return client


def present(flags) -> str:
    there = flags["session present"] if isinstance(flags, dict) else flags.session_present
    return "session present" if there else "no session"


def stop(client):
    client.disconnect()
    client.loop_stop()


collector = start("collector", clean_session=False)
print(events.get(timeout=10))
collector.subscribe("notes", 2)
print(events.get(timeout=10))
stop(collector)

publisher = start("publisher", clean_session=True)
events.get(timeout=10)
for qos in (1, 2):
    publisher.publish("notes", f"at {qos}", qos).wait_for_publish(10)
stop(publisher)

collector = start("collector", clean_session=False)
print(events.get(timeout=10))
# Each message is promised once, the order only within a QoS.
print(sorted(events.get(timeout=10) for _ in range(2)))
stop(collector)
assert events.empty()
