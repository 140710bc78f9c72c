"""karere.aio.Client: lost connections, forgotten clients, and the end of a loop."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import karere
import karere.aio
from proxy import Proxy, says_disconnect

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def client(port: int, **options: object) -> karere.aio.Client:
    return karere.aio.Client("127.0.0.1", port, reconnect_min=0.05, **options)  # type: ignore[arg-type]


async def lost(c: karere.aio.Client) -> None:
    while c.is_connected:
        await asyncio.sleep(0.001)


def test_a_lost_connection_is_made_again_with_its_subscriptions(run: Run, proxy: Proxy, topic: str) -> None:
    async def main() -> None:
        async with client(proxy.port) as c, client(proxy._target) as other:
            await c.subscribe(topic, 1)
            async with c.stream(topic + "/own", 1) as own:
                waiting = asyncio.create_task(own.__anext__())
                await asyncio.sleep(0)
                proxy.cut()
                await lost(c)
                await c.connected()
                # It is subscribed again when a message of its own comes back.
                await c.publish(topic, "own", 1)
                assert (await c.messages.__anext__()).payload == b"own"
                await other.publish(topic + "/own", "for the stream", 1)
                assert (await waiting).payload == b"for the stream"

    run(main())


def test_a_connection_that_is_reset_is_made_again(run: Run) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    third = threading.Event()

    listener.settimeout(20)

    def serve() -> None:
        for attempt in range(3):
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"\x20\x03\x00\x00\x00")
            if attempt < 2:
                # Without a word: what is under way is lost, and the next packet is answered with a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            else:
                third.set()
                connection.recv(1000)
                connection.close()
        listener.close()

    thread = threading.Thread(target=serve)
    thread.start()

    async def main() -> None:
        async with client(listener.getsockname()[1]):
            # The third connection is the one that lasts.
            assert await asyncio.to_thread(third.wait, 20)

    run(main())
    thread.join(20)
    assert not thread.is_alive()


def test_what_is_published_without_a_connection_waits_for_one(run: Run, proxy: Proxy, topic: str) -> None:
    async def main() -> None:
        async with client(proxy._target) as other, client(proxy.port) as c:
            await other.subscribe(topic, 1)
            proxy.is_open = False
            proxy.cut()
            await lost(c)
            publishing = [asyncio.create_task(c.publish(topic, str(number), 1)) for number in range(10)]
            await asyncio.sleep(0.1)
            assert not any(task.done() for task in publishing) and c.queued == 10
            proxy.is_open = True
            await asyncio.gather(*publishing)
            for number in range(10):
                assert (await other.messages.__anext__()).payload == b"%d" % number

    run(main())


def test_a_client_that_is_closed_while_it_connects_again_is_closed(run: Run, proxy: Proxy) -> None:
    async def main() -> None:
        async with client(proxy.port) as c:
            proxy.is_open = False
            proxy.cut()
            await lost(c)
            publishing = asyncio.create_task(c.publish("a", "b", 1))
            await asyncio.sleep(0.1)
        with pytest.raises(karere.ClosedError):
            await publishing
        assert len(asyncio.all_tasks()) <= 2  # this one, and the one that waits for it

    run(main())


def test_without_reconnect_the_end_of_the_connection_is_the_end_of_the_stream(run: Run, proxy: Proxy) -> None:
    async def main() -> None:
        async with client(proxy.port, reconnect=False) as c:
            await c.subscribe("x")
            waiting = asyncio.create_task(c.messages.__anext__())
            await asyncio.sleep(0)
            proxy.cut()
            with pytest.raises(karere.DisconnectedError):
                await waiting
            with pytest.raises(karere.ClosedError):
                await c.publish("x", "y")

    run(main())


def test_a_client_that_goes_says_disconnect(run: Run, proxy: Proxy) -> None:
    async def main() -> None:
        async with client(proxy.port):
            pass
        await asyncio.to_thread(proxy.wait_for, "closed", 1)
        forgotten = client(proxy.port)
        await forgotten.connect()
        with pytest.warns(ResourceWarning, match="not closed"):
            del forgotten
            gc.collect()
        await asyncio.to_thread(proxy.wait_for, "closed", 2)

    run(main())
    assert [says_disconnect(sent) for sent in proxy.sent] == [True, True]


def test_a_will_is_published_when_the_client_is_lost(run: Run, proxy: Proxy, topic: str) -> None:
    async def main() -> None:
        async with client(proxy._target) as other:
            await other.subscribe(topic, 1)
            will = karere.Will(topic, "lost", 1)
            async with client(proxy.port, will=will, reconnect=False):
                proxy.cut()
                assert (await other.messages.__anext__()).payload == b"lost"

    run(main())


def test_a_loop_that_ends_with_an_open_client_warns_and_leaves_in_order(proxy: Proxy) -> None:
    program = f"""
import asyncio, karere.aio
async def main():
    global c
    c = karere.aio.Client("127.0.0.1", {proxy.port})
    await c.connect()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    proxy.wait_for("closed", 1)
    assert says_disconnect(proxy.sent[0])


def test_cancelling_connect_leaves_no_connection_behind(run: Run, proxy: Proxy) -> None:
    async def main() -> None:
        for turns in (0, 1, 5):
            c = client(proxy.port)
            task = asyncio.create_task(c.connect())
            for _ in range(turns):
                await asyncio.sleep(0.0005)
            if not task.done():
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                assert not c.is_connected
            else:
                await c.disconnect()

    run(main())
    proxy.wait_for("closed", proxy.connections)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_has_no_part_in_its_parents_connection(proxy: Proxy, topic: str) -> None:
    async def main() -> None:
        reading, writing = os.pipe()
        c = client(proxy.port)
        await c.connect()
        child = os.fork()
        if child == 0:
            del c
            gc.collect()
            os.write(writing, b"0")
            while True:
                signal.pause()
        try:
            assert await asyncio.to_thread(os.read, reading, 1) == b"0"
            assert proxy.closed == 0
            await c.publish(topic, "from the parent", 1)
            # The child holds nothing: when the parent's socket is closed, the connection is.
            await c.disconnect()
            await asyncio.to_thread(proxy.wait_for, "closed", 1)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        assert says_disconnect(proxy.sent[0])

    asyncio.run(main())
