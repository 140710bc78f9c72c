"""The exceptions of paho-mqtt's API that are not Python's own."""

from __future__ import annotations


class MQTTException(Exception):
    """A rule of MQTT or of this API is broken; the text says which."""


class MalformedPacket(MQTTException):
    """Bytes are no MQTT: too short, too long, or text that the specification forbids (5.0, 1.5.4)."""
