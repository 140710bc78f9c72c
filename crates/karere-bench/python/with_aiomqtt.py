"""aiomqtt."""

import asyncio
import time

import aiomqtt
from load import TOPIC, WINDOW

ASYNC = True


def connected(run):
    return aiomqtt.Client("127.0.0.1", run.port, max_inflight_messages=WINDOW)


async def publish(run):
    async with connected(run) as client:
        client.pending_calls_threshold = 10 * WINDOW

        async def some(count):
            for _ in range(count):
                await client.publish(TOPIC, run.payload, run.qos)

        run.begin()
        await asyncio.gather(*(some(run.count // WINDOW) for _ in range(WINDOW)))
        run.end(run.count // WINDOW * WINDOW)


async def receive(run):
    async with connected(run) as client:
        run.begin()
        await client.subscribe(run.fire, run.qos)
        got = 0
        async for _message in client.messages:
            got += 1
            if got == run.count:
                break
        run.end(got)


async def latency(run):
    found = []
    async with connected(run) as client:
        run.begin()
        for _ in range(run.count):
            since = time.perf_counter()
            await client.publish(TOPIC, run.payload, 1)
            found.append(time.perf_counter() - since)
        run.end(run.count, found)
