"""karere.aio.Client with a store."""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import karere
from karere import aio

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def stored(port: int, folder: pathlib.Path, **options: object) -> aio.Client:
    return aio.Client("127.0.0.1", port, store=folder / "store", **options)  # type: ignore[arg-type]


def test_what_tasks_publish_together_is_stored_sent_and_acknowledged(
    run: Run, port: int, topic: str, tmp_path: pathlib.Path
) -> None:
    async def main() -> None:
        async with aio.Client("127.0.0.1", port) as other, stored(port, tmp_path) as client:
            await other.subscribe(topic, 2)
            await asyncio.gather(*(client.publish(topic, str(number), 1 + number % 2) for number in range(100)))
            # One after the other too: each waits for the disk and for the server.
            for number in range(100, 110):
                await client.publish(topic, str(number), 1 + number % 2)
            got = [int((await anext_of(other)).payload) for _ in range(110)]
        for parity in (0, 1):
            assert [number for number in got if number % 2 == parity] == list(range(parity, 110, 2))

    run(main())


async def anext_of(client: aio.Client) -> karere.Message:
    return await client.messages.__anext__()


def test_c1_what_was_not_acknowledged_is_sent_by_the_next_client(
    run: Run, port: int, topic: str, tmp_path: pathlib.Path
) -> None:
    async def main() -> None:
        async with aio.Client("127.0.0.1", port) as other:
            await other.subscribe(topic, 1)
            client = stored(port, tmp_path)
            await client.connect()
            # Not waited for: it is cancelled, and the connection gone, before anything is on its way.
            task = asyncio.ensure_future(client.publish(topic, "kept", 1))
            await asyncio.sleep(0)
            client._link.abort()
            with pytest.raises(karere.ClosedError):
                await task
            del client, task
            async with stored(port, tmp_path):
                assert (await anext_of(other)).payload == b"kept"

    run(main())


def test_a_store_that_somebody_else_has_is_an_error(run: Run, tmp_path: pathlib.Path) -> None:
    async def main() -> None:
        client = stored(1, tmp_path)
        with pytest.raises(karere.StoreError, match="in use by process"):
            stored(1, tmp_path)
        del client

    run(main())
