"""karere.Client: lost connections, forks, signals, and the end of a process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time

import pytest

import karere
from conftest import Broker
from programs import Program
from proxy import Proxy, says_disconnect
from taking import take


def client(port: int, **options: object) -> karere.Client:
    return karere.Client("127.0.0.1", port, reconnect_min=0.05, **options)  # type: ignore[arg-type]


def test_a_lost_connection_is_made_again_with_its_subscriptions(proxy: Proxy, topic: str) -> None:
    with client(proxy.port) as c, client(proxy._target) as other:
        c.subscribe(topic, 1)
        with c.stream(topic + "/own", 1) as own:
            proxy.cut()
            proxy.wait_for("connections", 2)
            # It is subscribed again when a message of its own comes back.
            c.publish(topic, "own", 1).wait(20)
            message = take(c.messages)
            assert message.payload == b"own"
            other.publish(topic + "/own", "for the stream", 1).wait(20)
            message = take(own)
            assert message.payload == b"for the stream"


def test_what_is_published_without_a_connection_waits_for_one(proxy: Proxy, topic: str) -> None:
    with client(proxy._target) as other, client(proxy.port) as c:
        other.subscribe(topic, 1)
        proxy.is_open = False
        proxy.cut()
        while c.is_connected:
            time.sleep(0.001)
        deliveries = [c.publish(topic, str(number), 1) for number in range(10)]
        assert not any(delivery.done for delivery in deliveries) and c.queued == 10
        with pytest.raises(TimeoutError):
            deliveries[0].wait(0.01)
        proxy.is_open = True
        for delivery in deliveries:
            delivery.wait(20)
        got = [take(other.messages) for _ in range(10)]
        assert [message.payload for message in got] == [b"%d" % number for number in range(10)]


def test_without_reconnect_the_end_of_the_connection_is_the_end_of_the_stream(proxy: Proxy) -> None:
    c = client(proxy.port, reconnect=False)
    with c:
        c.subscribe("x")
        proxy.cut()
        with pytest.raises(karere.DisconnectedError):
            c.messages.get(20)
        with pytest.raises(karere.ClosedError):
            c.publish("x", "y")


def test_a_client_that_goes_says_disconnect(proxy: Proxy) -> None:
    with client(proxy.port):
        pass
    proxy.wait_for("closed", 1)
    forgotten = client(proxy.port)
    forgotten.connect()
    del forgotten
    gc.collect()
    proxy.wait_for("closed", 2)
    assert [says_disconnect(sent) for sent in proxy.sent] == [True, True]


def test_a_will_is_published_when_the_client_is_lost(karere_broker: Broker, topic: str) -> None:
    with Proxy(karere_broker.port) as proxy, client(karere_broker.port) as other:
        other.subscribe(topic, 1)
        c = client(proxy.port, reconnect=False, will=karere.Will(topic, "lost", qos=1))
        c.connect()
        proxy.cut()
        message = take(other.messages)
        assert message.payload == b"lost"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_no_part_in_its_parents_connection(proxy: Proxy, topic: str) -> None:
    c = client(proxy.port)
    c.connect()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            c.publish(topic, "from the child")
        except RuntimeError as error:
            code = 0 if "parent process" in str(error) else 2
        del c
        gc.collect()
        os.write(writing, b"%d" % code)
        signal.pause()
    try:
        assert os.read(reading, 1) == b"0"
        assert proxy.closed == 0
        c.publish(topic, "from the parent", 1).wait(20)
        # The child holds nothing: when the parent's socket is closed, the connection is.
        c.disconnect()
        proxy.wait_for("closed", 1)
        assert says_disconnect(proxy.sent[0]) and b"child" not in proxy.sent[0]
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_parent_that_is_killed_is_lost_although_its_child_lives(proxy: Proxy) -> None:
    program = f"""
import karere, os, signal
c = karere.Client("127.0.0.1", {proxy.port})
c.connect()
child = os.fork()
if child == 0:
    print("child", os.getpid(), flush=True)
signal.pause()
"""
    with Program(sys.executable, "-c", program) as parent:
        parent.wait_for(r"child \d+")
        child = int(parent.printed[-1].split()[1])
        try:
            parent.process.kill()
            proxy.wait_for("closed", 1)
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_program_that_ends_without_a_word_still_leaves_in_order(proxy: Proxy, topic: str) -> None:
    program = f"""
import karere
c = karere.Client("127.0.0.1", {proxy.port})
c.connect()
c.subscribe("x")
for number in range(100):
    c.publish("{topic}", str(number))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    proxy.wait_for("closed", 1)
    assert says_disconnect(proxy.sent[0]) and proxy.sent[0].count(topic.encode()) == 100


def test_an_interrupt_ends_a_loop_that_waits(karere_broker: Broker) -> None:
    program = f"""
import karere
with karere.Client("127.0.0.1", {karere_broker.port}) as c:
    c.subscribe("nothing/comes")
    try:
        print("waiting", flush=True)
        for message in c: pass
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""
    with Program(sys.executable, "-c", program) as running:
        running.wait_for("waiting")
        running.interrupt()
        running.wait_for("interrupted", timeout=5)
        running.finish()
