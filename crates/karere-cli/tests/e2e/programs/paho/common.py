"""What the programs share: the command line, and a client of either generation of paho-mqtt."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from paho.mqtt import client as mqtt


def arguments(**more: Any) -> argparse.Namespace:
    """Parses the command line; each of `more` is a further option with its default."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--callbacks", type=int, default=0, help="generation of callbacks; 0 where there is one only")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--topic", default="python/mqtt")
    parser.add_argument("--qos", type=int, default=0)
    parser.add_argument("--count", type=int, default=5)
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def new_client(options: argparse.Namespace, client_id: str = "", **more: Any) -> mqtt.Client:
    """A client with the callbacks that were asked for."""
    if options.callbacks == 0:
        return mqtt.Client(client_id, **more)
    generation = mqtt.CallbackAPIVersion.VERSION1 if options.callbacks == 1 else mqtt.CallbackAPIVersion.VERSION2
    return mqtt.Client(generation, client_id, **more)


def value(code: Any) -> int:
    """The number behind a reason code: an int in the first generation, an object in the second."""
    return getattr(code, "value", code)


def say(line: str) -> None:
    """Prints a line whole, whichever thread says it: `print` writes the line and its end apart."""
    sys.stdout.write(line + "\n")
