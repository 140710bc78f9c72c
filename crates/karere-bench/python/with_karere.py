"""karere.Client."""

import time
from collections import deque

from load import TOPIC, WINDOW

import karere


def publish(run):
    with karere.Client("127.0.0.1", run.port, inflight_max=WINDOW) as client:
        run.begin()
        for _ in range(run.count):
            client.publish(TOPIC, run.payload, run.qos)
        client.drain()
        run.end(run.count)


def receive(run):
    with karere.Client("127.0.0.1", run.port) as client:
        run.begin()
        client.subscribe(run.fire, run.qos)
        got = 0
        for _message in client:
            got += 1
            if got == run.count:
                break
        run.end(got)


def latency(run):
    found = deque()
    with karere.Client("127.0.0.1", run.port) as client:
        run.begin()
        for _ in range(run.count):
            since = time.perf_counter()
            client.publish(TOPIC, run.payload, 1).wait()
            found.append(time.perf_counter() - since)
        run.end(run.count, found)
