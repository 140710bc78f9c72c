"""gmqtt."""

import asyncio
import time

import gmqtt
from load import TOPIC, WINDOW

ASYNC = True


class Client(gmqtt.Client):
    """With a publish that ends with its acknowledgement, which gmqtt has no call for."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.waiting = {}

    async def publish_and_wait(self, message):
        mid, package = self._connection.publish(message)
        self._persistent_storage.push_message(mid, package)
        future = self.waiting[mid] = asyncio.get_running_loop().create_future()
        await future

    def _remove_message_from_queue(self, mid):
        super()._remove_message_from_queue(mid)
        future = self.waiting.pop(mid, None)
        if future is not None:
            future.set_result(None)


async def connected(run):
    client = Client("bench-gmqtt")
    await client.connect("127.0.0.1", run.port, version=4)
    return client


async def publish(run):
    client = await connected(run)
    run.begin()
    if run.qos == 0:
        for sent in range(run.count):
            client.publish(TOPIC, run.payload, qos=0)
            if sent % WINDOW == 0:
                await asyncio.sleep(0)
        while client._connection._transport.get_write_buffer_size():
            await asyncio.sleep(0.001)
    else:

        async def some(count):
            for _ in range(count):
                await client.publish_and_wait(gmqtt.Message(TOPIC, run.payload, qos=run.qos))

        await asyncio.gather(*(some(run.count // WINDOW) for _ in range(WINDOW)))
    run.end(run.count)
    await client.disconnect()


async def receive(run):
    client = await connected(run)
    done = asyncio.Event()
    got = 0

    def on_message(client, topic, payload, qos, properties):
        nonlocal got
        got += 1
        if got == run.count:
            done.set()
        return 0

    client.on_message = on_message
    run.begin()
    client.subscribe(run.fire, qos=run.qos)
    await done.wait()
    run.end(got)
    await client.disconnect()


async def latency(run):
    client = await connected(run)
    found = []
    run.begin()
    for _ in range(run.count):
        since = time.perf_counter()
        await client.publish_and_wait(gmqtt.Message(TOPIC, run.payload, qos=1))
        found.append(time.perf_counter() - since)
    run.end(run.count, found)
    await client.disconnect()
