"""A pytest plugin: what became of each test, as JSON in the file that `KARERE_RECORD` names."""

from __future__ import annotations

import json
import os
from typing import Any

OUTCOMES: dict[str, str] = {}


def pytest_runtest_logreport(report: Any) -> None:
    """Keeps the worst of a test's three phases, and tells an unexpected pass from a pass."""
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    else:
        outcome = report.outcome
    known = OUTCOMES.get(report.nodeid)
    if known is None or known == "passed" or outcome == "failed":
        OUTCOMES[report.nodeid] = outcome


def pytest_collectreport(report: Any) -> None:
    """A file that cannot be imported stands for all its tests."""
    if report.failed:
        OUTCOMES[report.nodeid] = "not collected"


def pytest_sessionfinish() -> None:
    with open(os.environ["KARERE_RECORD"], "w") as file:
        json.dump(OUTCOMES, file)
