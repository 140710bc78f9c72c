"""karere.aio.Client against both brokers, under asyncio's event loop and uvloop."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import karere
import karere.aio
from certificates import Authority
from conftest import Broker, free_port, start_mosquitto
from karere import QoS, ReasonCode

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def client(port: int, **options: object) -> karere.aio.Client:
    return karere.aio.Client("127.0.0.1", port, **options)  # type: ignore[arg-type]


async def take(messages: karere.aio.Messages, count: int = 1) -> list[bytes]:
    """The payloads of the next messages."""
    found: list[bytes] = []
    async for message in messages:
        found.append(message.payload)
        if len(found) == count:
            break
    return found


def test_a_message_comes_back_as_it_was_sent(run: Run, port: int, topic: str) -> None:
    async def main() -> None:
        async with client(port) as c:
            assert await c.subscribe(topic, 2, subscription_id=9) == (ReasonCode.GRANTED_QOS_2,)
            sent = karere.Properties(content_type="text/plain", user_properties={"room": "kitchen"})
            assert await c.publish(topic, "25.3 °C", 2, properties=sent) is ReasonCode.SUCCESS
            async for message in c.messages:
                assert (message.topic, message.payload) == (topic, "25.3 °C".encode())
                assert (message.qos, message.retain) == (QoS.EXACTLY_ONCE, False)
                assert (message.subscription_ids, message.properties) == ((9,), sent)
                break
            assert await c.unsubscribe(topic) == (ReasonCode.SUCCESS,)

    run(main())


def test_a_hundred_tasks_publish_and_all_arrives_in_order(run: Run, port: int, topic: str) -> None:
    async def main() -> None:
        async with client(port) as c, client(port) as other:
            await other.subscribe(topic + "/#", 1)

            async def publish(task: int) -> None:
                for number in range(20):
                    await c.publish(f"{topic}/{task}", str(number), 1)

            await asyncio.gather(*(publish(task) for task in range(100)))
            got: dict[str, list[int]] = {}
            count = 0
            async for message in other.messages:
                got.setdefault(message.topic, []).append(int(message.payload))
                count += 1
                if count == 2000:
                    break
            assert len(got) == 100 and all(numbers == list(range(20)) for numbers in got.values())
            assert (c.inflight, c.queued) == (0, 0)

    run(main())


def test_a_task_that_only_publishes_leaves_the_others_their_turn(run: Run, karere_broker: Broker) -> None:
    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        async with client(karere_broker.port) as c:
            task = asyncio.create_task(other())
            for _ in range(2000):
                await c.publish("nobody/listens", bytes(1000))
            task.cancel()
        assert turns > 10

    run(main())


def test_a_publisher_waits_for_a_socket_that_takes_nothing(run: Run) -> None:
    async def main() -> None:
        halted = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"\x20\x03\x00\x00\x00")
            await halted.wait()
            while await reader.read(65536):
                pass
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
        async with client(server.sockets[0].getsockname()[1], outbox_bytes_max=100_000) as c:
            sent = 0

            async def publish() -> None:
                nonlocal sent
                for _ in range(1000):
                    await c.publish("a", bytes(100_000))
                    sent += 1

            task = asyncio.create_task(publish())
            await asyncio.sleep(0.2)
            before = sent
            await asyncio.sleep(0.2)
            assert sent == before < 1000  # it stands still, and so does the memory
            halted.set()
            await task
        server.close()

    run(main())


def test_a_stream_gets_its_own_messages_and_the_client_the_rest(run: Run, port: int, topic: str) -> None:
    async def main() -> None:
        async with client(port) as c:
            await c.subscribe(topic + "/rest", 1)
            async with c.stream(topic + "/a", 1) as a, c.stream([topic + "/b", (topic + "/c", 2)]) as b:
                assert (a.granted, b.granted) == ((1,), (0, 2))
                for name in ("rest", "c", "b", "a"):
                    await c.publish(f"{topic}/{name}", name, 2)
                assert await take(a) == [b"a"]
                assert await take(b, 2) == [b"c", b"b"]
            assert await take(c.messages) == [b"rest"]
            with pytest.raises(RuntimeError, match="`async with` block"):
                await a.__anext__()

    run(main())


def test_a_stream_ends_when_the_client_is_closed(run: Run, karere_broker: Broker) -> None:
    async def main() -> None:
        c = client(karere_broker.port)
        await c.connect()
        waiting = [asyncio.create_task(take(c.messages)) for _ in range(3)]
        await asyncio.sleep(0)
        await c.disconnect()
        assert await asyncio.gather(*waiting) == [[], [], []]
        with pytest.raises(karere.ClosedError):
            await c.publish("a", "b", 1)
        with pytest.raises(karere.ClosedError):
            await c.connected()

    run(main())


def test_a_client_may_connect_again_after_disconnect(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        c = client(karere_broker.port)
        for _ in range(2):
            async with c:
                await c.subscribe(topic)
                await c.publish(topic, "x", 1)
                assert await take(c.messages) == [b"x"]

    run(main())


def test_a_message_is_acknowledged_when_the_next_is_asked_for(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port, receive_maximum=1) as c:
            await c.subscribe(topic, 1)
            for number in range(3):
                await c.publish(topic, str(number), 1)
            messages = c.messages
            assert (await messages.__anext__()).payload == b"0"
            await c.unsubscribe("nothing")  # whatever the server had to send before its answer is there now
            assert len(messages) == 0
            assert (await messages.__anext__()).payload == b"1"

    run(main())


def test_by_hand_a_message_is_acknowledged_by_ack_alone(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port, receive_maximum=1, manual_ack=True) as c:
            await c.subscribe(topic, 1)
            for number in range(2):
                await c.publish(topic, str(number), 1)
            messages = c.messages
            first = await messages.__anext__()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(messages.__anext__(), 0.05)
            first.ack()
            assert (await messages.__anext__()).payload == b"1"

    run(main())


def test_several_tasks_share_the_messages(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        got: list[tuple[int, bytes]] = []

        async def work(number: int, c: karere.aio.Client) -> None:
            async for message in c.messages:
                got.append((number, message.payload))
                await asyncio.sleep(0.001)

        async with client(karere_broker.port) as c:
            await c.subscribe(topic, 1)
            workers = [asyncio.create_task(work(number, c)) for number in range(4)]
            await asyncio.gather(*(c.publish(topic, str(number), 1) for number in range(100)))
            while len(got) < 100:
                await asyncio.sleep(0.001)
        await asyncio.gather(*workers)
        assert sorted(payload for _, payload in got) == sorted(b"%d" % number for number in range(100))
        assert {number for number, _ in got} == {0, 1, 2, 3}

    run(main())


def test_cancelling_a_consumer_loses_nothing(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port) as c:
            await c.subscribe(topic, 1)
            messages = c.messages
            got: list[bytes] = []

            async def consume() -> None:
                async for message in messages:
                    got.append(message.payload)

            for number in range(50):
                consumer = asyncio.create_task(consume())
                published = asyncio.create_task(c.publish(topic, str(number), 1))
                for _ in range(number % 7):
                    await asyncio.sleep(0)
                consumer.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await consumer
                await published
            await c.unsubscribe(topic)
            last = asyncio.create_task(consume())
            while len(got) < 50:
                await asyncio.sleep(0.001)
            last.cancel()
            assert got == [b"%d" % number for number in range(50)]

    run(main())


def test_a_cancelled_waiter_passes_its_turn_on(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port) as c:
            await c.subscribe(topic, 1)
            messages = c.messages
            first, second = (asyncio.create_task(take(messages)) for _ in range(2))
            await asyncio.sleep(0)
            await c.publish(topic, "x", 1)
            first.cancel()
            done, _ = await asyncio.wait([first, second], timeout=20)
            assert done
            winner = second if second in done and not second.cancelled() else first
            assert winner.result() == [b"x"]
            second.cancel()

    run(main())


def test_cancelling_a_publish_withdraws_nothing(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port) as c:
            await c.subscribe(topic, 2)
            for qos in (1, 2):
                task = asyncio.create_task(c.publish(topic, str(qos), qos))
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert await take(c.messages) == [b"%d" % qos]
            await c.publish(topic, "and on", 1)
            assert await take(c.messages) == [b"and on"]
            assert (c.inflight, c.queued) == (0, 0)

    run(main())


def test_cancelling_a_stream_that_begins_leaves_nothing_behind(run: Run, karere_broker: Broker, topic: str) -> None:
    async def main() -> None:
        async with client(karere_broker.port) as c:

            async def begin() -> None:
                async with c.stream(topic, 1):
                    raise AssertionError("it was to be cancelled before")

            task = asyncio.create_task(begin())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            reason = await c.publish(topic, "x", 1)
            assert reason == ReasonCode.NO_MATCHING_SUBSCRIBERS

    run(main())


def test_errors_say_what_is_wrong(run: Run, karere_broker: Broker) -> None:
    async def main() -> None:
        async with client(karere_broker.port) as c:
            with pytest.raises(ValueError, match="wildcard"):
                await c.publish("a/#", "x")
            with pytest.raises(TypeError, match="not dict"):
                await c.publish("a", {})  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="`#`"):
                await c.subscribe("a/#/b")
            with pytest.raises(RuntimeError, match="connected already"):
                await c.connect()
        with pytest.raises(karere.ConnectError, match="cannot connect to 127"):
            await client(free_port()).connect()

    run(main())


def test_bad_credentials_are_refused_with_the_reason(run: Run, tmp_path: pathlib.Path) -> None:
    broker = start_mosquitto(tmp_path, "allow_anonymous false\n")

    async def main() -> None:
        async with client(broker.port, username="user", password=b"pass") as c:
            assert c.is_connected
        with pytest.raises(karere.RefusedError) as caught:
            await client(broker.port, username="user", password="wrong").connect()
        assert caught.value.reason == ReasonCode.NOT_AUTHORIZED

    try:
        run(main())
    finally:
        broker.stop()


def test_a_session_that_is_kept_brings_what_was_missed(run: Run, port: int, topic: str) -> None:
    session = {"client_id": topic.replace("/", "-"), "clean_start": False, "session_expiry": 60}

    async def main() -> None:
        async with client(port, **session) as c:
            assert not c.session_present
            await c.subscribe(topic, 1)
        async with client(port) as other:
            await other.publish(topic, "missed", 1)
        async with client(port, **session) as c:
            assert c.session_present
            assert await take(c.messages) == [b"missed"]
            await c.unsubscribe(topic)

    run(main())


def test_it_speaks_tls_and_checks_who_is_there(run: Run, tmp_path: pathlib.Path, topic: str) -> None:
    ours = Authority(tmp_path)
    broker = start_mosquitto(tmp_path, ours.configuration)

    async def main() -> None:
        tls = karere.Tls(ca_file=ours.certificate)
        async with karere.aio.Client("localhost", broker.port, tls=tls) as c:
            await c.subscribe(topic, 1)
            # More than one record, and more than the socket takes at once.
            payload = bytes(range(256)) * 8000
            for _ in range(3):
                await c.publish(topic, payload, 1)
            assert await take(c.messages, 3) == [payload] * 3
        with pytest.raises(karere.ConnectError, match=r"(?i)certificate"):
            await karere.aio.Client(f"mqtts://localhost:{broker.port}").connect()

    try:
        run(main())
    finally:
        broker.stop()


def test_it_speaks_websocket(run: Run, tmp_path: pathlib.Path, topic: str) -> None:
    port = free_port()
    # Not bound to an address: its library takes none.
    broker = start_mosquitto(tmp_path, f"allow_anonymous true\nlistener {port}\nprotocol websockets\n")

    async def main() -> None:
        async with karere.aio.Client(f"ws://127.0.0.1:{port}/mqtt") as c:
            await c.subscribe(topic, 1)
            await asyncio.gather(*(c.publish(topic, str(number), 1) for number in range(100)))
            assert sorted(await take(c.messages, 100)) == sorted(b"%d" % number for number in range(100))

    try:
        run(main())
    finally:
        broker.stop()
