"""Ends: of connections, of processes, and of the interpreter."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from karere.paho import client as mqtt

from .scripted import Script, Told, new_client, publish


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python of its own."""
    command = [sys.executable, "-c", text, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_interpreter_ends_cleanly_while_a_loop_runs(karere_broker: Any) -> None:
    text = """
import sys, threading
import karere.paho.client as mqtt
up = threading.Event()
client = mqtt.Client("ends", userdata=up)
client.on_connect = lambda c, u, f, rc: u.set()
client.on_message = lambda c, u, m: None
client.connect("127.0.0.1", int(sys.argv[1])); client.loop_start()
assert up.wait(10)
client.subscribe("#")
for n in range(1000): client.publish("ends", "x")
print("end")
"""
    for _ in range(5):
        process = program(text, str(karere_broker.port))
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "end\n", "")


def test_the_interpreter_ends_cleanly_while_a_callback_does_not(karere_broker: Any) -> None:
    text = """
import sys, threading
import karere.paho.client as mqtt
inside = threading.Event()
def on_message(client, userdata, message):
    inside.set()
    while True: pass
client = mqtt.Client("stuck")
client.on_message = on_message
client.on_connect = lambda c, *_: c.subscribe("stuck")
client.on_subscribe = lambda c, *_: c.publish("stuck")
client.connect("127.0.0.1", int(sys.argv[1])); client.loop_start()
assert inside.wait(10)
print("end")
"""
    process = program(text, str(karere_broker.port))
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "end\n", "")


def test_sigint_ends_loop_forever_within_its_timeout(karere_broker: Any) -> None:
    text = """
import sys
import karere.paho.client as mqtt
client = mqtt.Client("sigint")
client.on_connect = lambda *a: print("up", flush=True)
client.connect("127.0.0.1", int(sys.argv[1]))
try:
    client.loop_forever()
except KeyboardInterrupt:
    print("interrupted")
"""
    process = program(text, str(karere_broker.port))
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "interrupted\n", "")
    assert time.monotonic() - start < 5


def test_a_forked_child_has_no_connection_and_says_nothing_on_its_parents() -> None:
    seen = Told()
    with Script() as script:
        client = new_client("fork")
        client.on_message = lambda c, u, message: seen.add(message.payload)
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        while not client.is_connected():
            time.sleep(0.001)
        descriptor = client._descriptor()
        child = os.fork()
        if child == 0:
            ok = client.socket() is None and client._thread is None and not client.is_connected()
            try:
                os.fstat(descriptor)
                ok = False
            except OSError:
                pass
            client.disconnect()
            ok = ok and client.publish("t").rc == mqtt.MQTT_ERR_NO_CONN
            del client
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        script.send(publish("t", b"still"))
        assert seen.wait(1) == [b"still"]
        client.publish("t", "here")
        assert script.packet() == publish("t", b"here")
        client.disconnect()
        client.loop_stop()


def test_a_socket_that_the_program_closes_is_noticed() -> None:
    ended = Told()
    with Script() as script:
        client = new_client("closed")
        client.on_disconnect = lambda c, u, flags, reason, properties: ended.add(str(reason))
        client.connect("127.0.0.1", script.port)
        client.loop_start()
        script.accept()
        while not client.is_connected():
            time.sleep(0.001)
        client.socket().close()
        client._wake()
        assert ended.wait(1) == ["Unspecified error"]
        script.accept()
        client.disconnect()
        client.loop_stop()


def test_two_thousand_connections_leave_nothing_behind(karere_broker: Any) -> None:
    def cycle(times: int) -> None:
        for number in range(times):
            up = threading.Event()
            client = mqtt.Client(f"cycle-{number % 10}", userdata=up)
            client.on_connect = lambda c, u, f, rc: u.set()
            client.connect("127.0.0.1", karere_broker.port)
            client.loop_start()
            assert up.wait(10)
            client.disconnect()
            client.loop_stop()

    def memory() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    cycle(200)
    before, descriptors, threads = memory(), len(os.listdir("/proc/self/fd")), threading.active_count()
    cycle(2000)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert threading.active_count() <= threads
    assert memory() - before < 4 * 1024 * 1024


def test_more_descriptors_than_select_takes_are_no_matter(karere_broker: Any) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    held = [os.dup(0) for _ in range(1100)]
    try:
        seen = Told()
        client = new_client("high")
        client.on_connect = lambda c, *_: c.subscribe("high")
        client.on_subscribe = lambda c, *_: c.publish("high", "x")
        client.on_message = lambda c, u, message: seen.add(message.payload)
        client.connect("127.0.0.1", karere_broker.port)
        assert client.socket().fileno() > 1024
        client.loop_start()
        assert seen.wait(1) == [b"x"]
        client.disconnect()
        client.loop_stop()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
