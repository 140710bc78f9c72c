"""Compares what we answer with what genuine paho-mqtt answered, as `conformance/paho.toml` allows it to differ."""

from __future__ import annotations

import difflib
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

try:
    import tomllib
except ModuleNotFoundError:  # before 3.11
    import tomli as tomllib

TABLE = pathlib.Path(__file__).resolve().parents[3] / "conformance/paho.toml"


def allowed(section: str) -> list[dict[str, Any]]:
    """The differences of one section, each with its reason."""
    entries: list[dict[str, Any]] = tomllib.loads(TABLE.read_text()).get(section, [])
    without = [entry for entry in entries if not entry.get("reason", "").strip()]
    assert not without, f"{TABLE}: {section} has differences without a reason: {without}"
    return entries


def read(text: str) -> dict[str, Any]:
    """What a probe printed, with the names of our modules as a program writes them."""
    text = text.replace("karere.paho", "paho.mqtt")
    # Whether there is no such name or nobody to ask is for the machine to say.
    return dict(json.loads(re.sub(r"gaierror: \[Errno -\d\] [\w ]+", "gaierror", text)))


def complaints(
    section: str,
    genuine: Mapping[str, Any],
    ours: Mapping[str, Any],
    other: Mapping[str, Any] | None = None,
    only_known: bool = False,
) -> list[str]:
    """What differs and is not allowed, and what is allowed and does not differ.

    A difference is allowed by the name of the call and what we answer: `ours`, or `like_1_6_1` for what 1.6.1 answered,
    which is `other`. With `only_known`, `genuine` is a part of the table, and what is listed for the rest is
    left alone.
    """
    expected: dict[str, Any] = dict(genuine)
    listed: dict[str, Any] = {}
    for entry in allowed(section):
        for call in entry["calls"]:
            listed[call] = (other or {})[call] if entry.get("like_1_6_1") else entry["ours"]
    found = [
        f"{call}: listed in {TABLE.name}, but no such call" for call in listed if call not in genuine and not only_known
    ]
    for call in sorted({*expected, *ours}):
        answer = ours.get(call, "(not asked)")
        if call in listed:
            if answer != listed[call]:
                found.append(_difference(call, "listed", listed[call], answer))
            elif answer == expected.get(call):
                found.append(f"{call}: listed in {TABLE.name}, but it does not differ")
        elif answer != expected.get(call, "(not asked)"):
            found.append(_difference(call, "genuine", expected.get(call, "(not asked)"), answer))
    return found


def _difference(call: str, whose: str, wanted: Any, answer: Any) -> str:
    """Of two lists, the lines that are in one of them."""
    if isinstance(wanted, list) and isinstance(answer, list):
        lines = [line for line in difflib.ndiff(wanted, answer) if line[0] in "+-"]
        return "\n  ".join([f"{call} (- {whose}, + ours)", *lines])
    return f"{call}\n  {whose:<7} {wanted}\n  ours    {answer}"


def report(section: str, found: list[str]) -> str:
    """For the message of an assertion."""
    return f"{len(found)} answers are not as conformance/paho.toml says ([[{section}]]):\n" + "\n".join(found)
