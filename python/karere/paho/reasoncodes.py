"""The reason codes of MQTT 5.0 (2.4), with their names for each packet."""

from __future__ import annotations

import functools
import warnings
from types import MappingProxyType
from typing import Any

from .packettypes import PacketTypes

__all__ = ["ReasonCode", "ReasonCodes"]

_CONNACK, _PUBACK, _PUBREC, _PUBREL, _PUBCOMP = (
    PacketTypes.CONNACK,
    PacketTypes.PUBACK,
    PacketTypes.PUBREC,
    PacketTypes.PUBREL,
    PacketTypes.PUBCOMP,
)
_SUBACK, _UNSUBACK, _DISCONNECT, _AUTH = (
    PacketTypes.SUBACK,
    PacketTypes.UNSUBACK,
    PacketTypes.DISCONNECT,
    PacketTypes.AUTH,
)
_ANSWERS = [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _UNSUBACK, _DISCONNECT]

# 5.0, table 2-6. The lists are part of the API: programs look names up in it.
_NAMES: MappingProxyType[int, dict[str, list[int]]] = MappingProxyType(
    {
        0: {
            "Success": [_CONNACK, _PUBACK, _PUBREC, _PUBREL, _PUBCOMP, _UNSUBACK, _AUTH],
            "Normal disconnection": [_DISCONNECT],
            "Granted QoS 0": [_SUBACK],
        },
        1: {"Granted QoS 1": [_SUBACK]},
        2: {"Granted QoS 2": [_SUBACK]},
        4: {"Disconnect with will message": [_DISCONNECT]},
        16: {"No matching subscribers": [_PUBACK, _PUBREC]},
        17: {"No subscription found": [_UNSUBACK]},
        24: {"Continue authentication": [_AUTH]},
        25: {"Re-authenticate": [_AUTH]},
        128: {"Unspecified error": _ANSWERS},
        129: {"Malformed packet": [_CONNACK, _DISCONNECT]},
        130: {"Protocol error": [_CONNACK, _DISCONNECT]},
        131: {"Implementation specific error": _ANSWERS},
        132: {"Unsupported protocol version": [_CONNACK]},
        133: {"Client identifier not valid": [_CONNACK]},
        134: {"Bad user name or password": [_CONNACK]},
        135: {"Not authorized": _ANSWERS},
        136: {"Server unavailable": [_CONNACK]},
        137: {"Server busy": [_CONNACK, _DISCONNECT]},
        138: {"Banned": [_CONNACK]},
        139: {"Server shutting down": [_DISCONNECT]},
        140: {"Bad authentication method": [_CONNACK, _DISCONNECT]},
        141: {"Keep alive timeout": [_DISCONNECT]},
        142: {"Session taken over": [_DISCONNECT]},
        143: {"Topic filter invalid": [_SUBACK, _UNSUBACK, _DISCONNECT]},
        144: {"Topic name invalid": [_CONNACK, _PUBACK, _PUBREC, _DISCONNECT]},
        145: {"Packet identifier in use": [_PUBACK, _PUBREC, _SUBACK, _UNSUBACK]},
        146: {"Packet identifier not found": [_PUBREL, _PUBCOMP]},
        147: {"Receive maximum exceeded": [_DISCONNECT]},
        148: {"Topic alias invalid": [_DISCONNECT]},
        149: {"Packet too large": [_CONNACK, _DISCONNECT]},
        150: {"Message rate too high": [_DISCONNECT]},
        151: {"Quota exceeded": [_CONNACK, _PUBACK, _PUBREC, _SUBACK, _DISCONNECT]},
        152: {"Administrative action": [_DISCONNECT]},
        153: {"Payload format invalid": [_PUBACK, _PUBREC, _DISCONNECT]},
        154: {"Retain not supported": [_CONNACK, _DISCONNECT]},
        155: {"QoS not supported": [_CONNACK, _DISCONNECT]},
        156: {"Use another server": [_CONNACK, _DISCONNECT]},
        157: {"Server moved": [_CONNACK, _DISCONNECT]},
        158: {"Shared subscription not supported": [_SUBACK, _DISCONNECT]},
        159: {"Connection rate exceeded": [_CONNACK, _DISCONNECT]},
        160: {"Maximum connect time": [_DISCONNECT]},
        161: {"Subscription identifiers not supported": [_SUBACK, _DISCONNECT]},
        162: {"Wildcard subscription not supported": [_SUBACK, _DISCONNECT]},
    }
)


@functools.total_ordering
class ReasonCode:
    """What one packet says of the request it answers: `value` is the number on the wire.

    It equals that number, its name, and another code of the same number; it is ordered by the number.
    """

    packetType: int
    value: int
    # Every code is of one table: an instance carries two numbers and no more.
    names = _NAMES

    def __init__(self, packetType: int, aName: str = "Success", identifier: int = -1):
        """Makes the code of the name `aName`, or of the number `identifier` where one is given.

        KeyError if that packet has no such code.
        """
        self.packetType = packetType
        if identifier == -1:
            # What a DISCONNECT and a SUBACK call 0 has other names.
            if packetType == _DISCONNECT and aName == "Success":
                aName = "Normal disconnection"
            self.set(aName)
        else:
            self.value = identifier
            self.getName()

    def __getName__(self, packetType: int, identifier: int) -> str:
        """The name that the number `identifier` has in a packet of the type `packetType`."""
        if identifier not in self.names:
            raise KeyError(identifier)
        found = [name for name, types in self.names[identifier].items() if packetType in types]
        if len(found) != 1:
            raise ValueError(f"Expected exactly one name, found {found!r}")
        return found[0]

    def getId(self, name: str) -> int:
        """The number of the code called `name`; KeyError if this packet has none of that name."""
        for number, names in self.names.items():
            if self.packetType in names.get(name, ()):
                return number
        raise KeyError(f"Reason code name not found: {name}")

    def set(self, name: str) -> None:
        """Becomes the code called `name`; KeyError if this packet has none of that name."""
        self.value = self.getId(name)

    def unpack(self, buffer: bytes | bytearray) -> int:
        """Becomes the code that the first byte of `buffer` is, and returns 1, the bytes it read."""
        number = buffer[0]
        name = self.__getName__(self.packetType, number)
        self.value = self.getId(name)
        return 1

    def getName(self) -> str:
        """The name of this code in its packet."""
        return self.__getName__(self.packetType, self.value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return self.value == other
        if isinstance(other, str):
            return other == str(self)
        if isinstance(other, ReasonCode):
            return self.value == other.value
        return False

    # Codes of the same number in different packets have different names: no hash serves all that equal them.
    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Any) -> bool:
        if isinstance(other, int):
            return self.value < other
        if isinstance(other, ReasonCode):
            return self.value < other.value
        return NotImplemented

    def __repr__(self) -> str:
        packet_name = PacketTypes.Names[self.packetType]
        return f"ReasonCode({packet_name}, {self.getName()!r})"

    def __str__(self) -> str:
        return self.getName()

    def json(self) -> str:
        """The name, as that is what a person reads."""
        return self.getName()

    def pack(self) -> bytearray:
        """The byte on the wire."""
        return bytearray([self.value])

    @property
    def is_failure(self) -> bool:
        """Whether the request failed: the number is 128 or more (5.0, 2.4)."""
        return self.value >= 0x80


class _OldName(type):
    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, ReasonCode)


class ReasonCodes(ReasonCode, metaclass=_OldName):
    """The name that 1.x gave `ReasonCode`. Every `ReasonCode` is an instance of it."""

    def __init__(self, *args: Any, **kwargs: Any):
        warnings.warn(
            "ReasonCodes is deprecated, use ReasonCode (singular) instead",
            category=DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(*args, **kwargs)
