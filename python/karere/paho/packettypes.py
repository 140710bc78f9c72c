"""The types of MQTT's packets (5.0, 2.1.2)."""

from __future__ import annotations


class PacketTypes:
    """A packet's type as a number, and `Names[number]` as a word."""

    indexes = range(1, 16)

    CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
    SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = range(8, 16)

    # No packet: the properties of a will are those of a kind of their own.
    WILLMESSAGE = 99

    Names = (
        "reserved",
        "Connect",
        "Connack",
        "Publish",
        "Puback",
        "Pubrec",
        "Pubrel",
        "Pubcomp",
        "Subscribe",
        "Suback",
        "Unsubscribe",
        "Unsuback",
        "Pingreq",
        "Pingresp",
        "Disconnect",
        "Auth",
    )
