"""Programs that run beside a test, and what they print."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
import time
from types import TracebackType

import pytest


class Program:
    """A program in a process of its own. As a context manager it is gone at the end, whatever became of it."""

    def __init__(self, *command: object):
        self.command = [str(part) for part in command]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.printed: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()

    def wait_for(self, pattern: str, times: int = 1, timeout: float = 20) -> None:
        """Returns once it has printed `times` lines that match; the test fails if it does not."""
        deadline = time.monotonic() + timeout
        while sum(bool(re.search(pattern, line)) for line in self.printed) < times:
            self._take(deadline, f"{times} lines like {pattern!r}")

    def interrupt(self) -> None:
        """What a person does who has seen enough."""
        self.process.send_signal(signal.SIGINT)

    def finish(self, timeout: float = 30) -> list[str]:
        """Waits until it ends and returns all it printed; the test fails if it ends with an error."""
        deadline = time.monotonic() + timeout
        while self._take(deadline, "its end"):
            pass
        if self.process.wait(5) != 0:
            pytest.fail(f"{self.command} ended with {self.process.returncode}:\n" + "\n".join(self.printed))
        return self.printed

    def _take(self, deadline: float, what: str) -> bool:
        try:
            line = self._lines.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            line = None
            if self.process.poll() is None:
                pytest.fail(f"{self.command} did not come to {what}; it printed\n" + "\n".join(self.printed))
        if line is not None:
            self.printed.append(line)
        elif what != "its end":
            pytest.fail(f"{self.command} ended before {what}; it printed\n" + "\n".join(self.printed))
        return line is not None
