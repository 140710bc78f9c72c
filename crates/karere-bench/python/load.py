"""What a message costs a Python client, in CPU of its process: one run, one line of JSON.

    python load.py CLIENT PORT publish|receive|latency QOS COUNT SIZE

CLIENT is karere, karere-aio, karere-paho, paho, gmqtt or aiomqtt; with `+uvloop` behind it the asyncio ones run there.
At PORT is a server that only acknowledges and counts, and answers SUBSCRIBE to `fire/<qos>/<count>/<size>/<window>`
with that many messages.
"""

import json
import sys
import time
from importlib import import_module

#: Messages that are not acknowledged, or tasks that publish.
WINDOW = 100
TOPIC = "python/mqtt"


class Run:
    """What a run is to do, and the clocks."""

    def __init__(self, port, qos, count, size):
        self.port = port
        self.qos = qos
        self.count = count
        self.payload = bytes(size)
        self.fire = f"fire/{qos}/{count}/{size}/{WINDOW}"
        self.begin()

    def begin(self):
        self.cpu = time.process_time()
        self.time = time.perf_counter()

    def end(self, messages, latencies=()):
        """Prints what was measured since `begin`."""
        cpu, elapsed = time.process_time() - self.cpu, time.perf_counter() - self.time
        found = {
            "messages": messages,
            "cpu_us": round(cpu / max(messages, 1) * 1e6, 3),
            "msgs_per_s": round(messages / elapsed),
        }
        if latencies:
            latencies = sorted(latencies)
            found["p50_us"] = round(latencies[len(latencies) // 2] * 1e6, 1)
            found["p99_us"] = round(latencies[len(latencies) * 99 // 100] * 1e6, 1)
        print(json.dumps(found, separators=(",", ":")), flush=True)


def main():
    client, port, direction, qos, count, size = sys.argv[1:]
    client, _, loop = client.partition("+")
    module = import_module("with_" + client.replace("-", "_"))
    run = Run(int(port), int(qos), int(count), int(size))
    work = getattr(module, direction)
    if loop:
        import uvloop

        uvloop.run(work(run))
    elif getattr(module, "ASYNC", False):
        import asyncio

        asyncio.run(work(run))
    else:
        work(run)


if __name__ == "__main__":
    main()
