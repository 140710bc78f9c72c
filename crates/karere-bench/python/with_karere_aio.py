"""karere.aio.Client."""

import asyncio
import time

from load import TOPIC, WINDOW

import karere.aio

ASYNC = True


async def publish(run):
    async with karere.aio.Client("127.0.0.1", run.port) as client:

        async def some(count):
            for _ in range(count):
                await client.publish(TOPIC, run.payload, run.qos)

        run.begin()
        await asyncio.gather(*(some(run.count // WINDOW) for _ in range(WINDOW)))
        run.end(run.count // WINDOW * WINDOW)


async def receive(run):
    async with karere.aio.Client("127.0.0.1", run.port) as client:
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
    async with karere.aio.Client("127.0.0.1", run.port) as client:
        run.begin()
        for _ in range(run.count):
            since = time.perf_counter()
            await client.publish(TOPIC, run.payload, 1)
            found.append(time.perf_counter() - since)
        run.end(run.count, found)
