"""Connects, subscribes, publishes, receives and disconnects, many times, and fails if anything piles up.

    python cycles.py FACE CYCLES PORT

FACE is `paho`, `karere` or `aio`. Looked at, after a tenth of the cycles and at the end: descriptors, threads, objects
that the garbage collector knows, blocks of Python's allocator, references to None (a leaked reference shows there
first), and resident memory.
"""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import resource
import sys
import threading
import time
from collections.abc import Callable

import karere
import karere.aio
import karere.paho.client as mqtt

#: How much more there may be of each, at all and for a cycle. An allocator settles and caches fill, ever more slowly; a
#: leak is at least one a cycle.
MORE = {
    "descriptors": (0, 0.0),
    "threads": (0, 0.0),
    "objects": (200, 0.02),
    "blocks": (1000, 0.05),
    "references to None": (200, 0.02),
    "resident": (6 * 1024 * 1024, 64.0),
}


def main(face: str, cycles: int, port: int) -> int:
    """Runs the cycles; 1 if something has piled up."""
    run = FACES[face]
    warm_up = max(cycles // 10, 20)
    run(warm_up, port)
    before, start = now(), time.monotonic()
    tenth = max((cycles - warm_up) // 10, 1)
    done = warm_up
    while done < cycles:
        step = min(tenth, cycles - done)
        run(step, port)
        done += step
        print(f"{face:7} {done:>7} cycles, {(time.monotonic() - start) / (done - warm_up) * 1e3:5.2f} ms each, {now()}")
    wrong = piled_up(before, now(), cycles - warm_up)
    print(f"{face}: {wrong or 'nothing piles up'}", flush=True)
    return 1 if wrong else 0


def now() -> dict[str, int]:
    """What there is at this moment."""
    for _ in range(3):
        gc.collect()
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * resource.getpagesize()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "objects": len(gc.get_objects()),
        "blocks": sys.getallocatedblocks(),
        "references to None": sys.getrefcount(None),
        "resident": resident,
    }


def piled_up(before: dict[str, int], after: dict[str, int], cycles: int) -> str:
    """What there is more of than there may be."""
    more = {name: after[name] - before[name] for name in before}
    allowed = {name: least + a_cycle * cycles for name, (least, a_cycle) in MORE.items()}
    return ", ".join(f"{more[name]} more {name}" for name in more if more[name] > allowed[name])


def with_paho(cycles: int, port: int) -> None:
    for _ in range(cycles):
        came: queue.Queue[bytes] = queue.Queue()
        client = mqtt.Client()
        client.on_connect = subscribe
        client.on_subscribe = publish
        client.on_message = keep
        client.user_data_set(came)
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert came.get(timeout=20) == b"25.3"
        client.disconnect()
        client.loop_stop()


def subscribe(client: mqtt.Client, *_: object) -> None:
    client.subscribe(f"soak/{os.getpid()}", 1)


def publish(client: mqtt.Client, *_: object) -> None:
    client.publish(f"soak/{os.getpid()}", "25.3", 1)


def keep(client: mqtt.Client, came: queue.Queue[bytes], message: mqtt.MQTTMessage) -> None:
    came.put(message.payload)


def with_karere(cycles: int, port: int) -> None:
    topic = f"soak/{os.getpid()}"
    for _ in range(cycles):
        with karere.Client("127.0.0.1", port) as client:
            client.subscribe(topic, qos=1)
            client.publish(topic, "25.3", qos=1).wait()
            assert next(iter(client)).payload == b"25.3"


def with_aio(cycles: int, port: int) -> None:
    async def cycle() -> None:
        topic = f"soak/{os.getpid()}"
        for _ in range(cycles):
            async with karere.aio.Client("127.0.0.1", port) as client:
                await client.subscribe(topic, qos=1)
                await client.publish(topic, "25.3", qos=1)
                async for message in client.messages:
                    assert message.payload == b"25.3"
                    break

    asyncio.run(cycle())


FACES: dict[str, Callable[[int, int], None]] = {"paho": with_paho, "karere": with_karere, "aio": with_aio}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
