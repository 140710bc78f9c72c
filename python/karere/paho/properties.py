"""The properties of MQTT 5.0 (2.2.2): a bag of attributes for each type of packet, and how they stand on the wire."""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Union

from .exception import MalformedPacket, MQTTException
from .packettypes import PacketTypes

__all__ = [
    "MQTTException",
    "MalformedPacket",
    "PacketTypes",
    "Properties",
    "VariableByteIntegers",
    "readBytes",
    "readInt16",
    "readInt32",
    "readUTF",
    "writeBytes",
    "writeInt16",
    "writeInt32",
    "writeUTF",
]

_Buffer = Union[bytes, bytearray]


def writeInt16(length: int) -> bytearray:
    """Two bytes, high one first; struct.error if it does not fit."""
    return bytearray(struct.pack("!H", length))


def readInt16(buf: _Buffer) -> int:
    """The number that the first two bytes are; struct.error if there are fewer."""
    return int(struct.unpack("!H", buf[:2])[0])


def writeInt32(length: int) -> bytearray:
    """Four bytes, high one first; struct.error if it does not fit."""
    return bytearray(struct.pack("!L", length))


def readInt32(buf: _Buffer) -> int:
    """The number that the first four bytes are; struct.error if there are fewer."""
    return int(struct.unpack("!L", buf[:4])[0])


def writeUTF(data: str | bytes) -> bytearray:
    """A string as UTF-8 behind its length (1.5.4); struct.error above 65,535 bytes."""
    data = data if isinstance(data, bytes) else bytes(data, "utf-8")
    return writeInt16(len(data)) + data


def readUTF(buffer: _Buffer, maxlen: int) -> tuple[str, int]:
    """The string at the start of `buffer`, of which `maxlen` bytes may be used, and how many it took.

    MalformedPacket where 1.5.4 forbids it, UnicodeDecodeError where it is no UTF-8.
    """
    if maxlen < 2:
        raise MalformedPacket("Not enough data to read string length")
    length = readInt16(buffer)
    if length > maxlen - 2:
        raise MalformedPacket("Length delimited string too long")
    text = bytes(buffer[2 : 2 + length]).decode("utf-8")
    if "\x00" in text:
        raise MalformedPacket("[MQTT-1.5.4-2] Null found in UTF-8 data")
    if "\ufeff" in text:
        raise MalformedPacket("[MQTT-1.5.4-3] U+FEFF in UTF-8 data")
    return text, length + 2


def writeBytes(buffer: _Buffer) -> bytearray:
    """Bytes behind their length (1.5.6); struct.error above 65,535 of them."""
    return writeInt16(len(buffer)) + buffer


def readBytes(buffer: _Buffer, maxlen: int) -> tuple[_Buffer, int]:
    """The bytes at the start of `buffer`, of which `maxlen` may be used, and how many were taken."""
    if maxlen < 2:
        raise MalformedPacket("Not enough data to read binary data length")
    length = readInt16(buffer)
    if length > maxlen - 2:
        raise MalformedPacket("Length delimited binary data too long")
    return buffer[2 : 2 + length], length + 2


class VariableByteIntegers:
    """Numbers of one to four bytes (1.5.5)."""

    @staticmethod
    def encode(x: int) -> bytes:
        """The bytes of `x`; ValueError if four do not hold it."""
        if not 0 <= x <= 268435455:
            raise ValueError(f"Value {x!r} must be in range 0-268435455")
        buffer = bytearray()
        while True:
            x, digit = x // 128, x % 128
            buffer.append(digit | 0x80 if x else digit)
            if not x:
                return bytes(buffer)

    @staticmethod
    def decode(buffer: _Buffer) -> tuple[int, int]:
        """The number at the start of `buffer` and how many bytes it took."""
        value = 0
        for position in range(4):
            if position >= len(buffer):
                raise MalformedPacket("Not enough data to decode Variable Byte Integer")
            digit = buffer[position]
            value |= (digit & 0x7F) << 7 * position
            if digit < 0x80:
                return value, position + 1
        raise MalformedPacket("Variable Byte Integer is more than four bytes long")


_BYTE, _INT16, _INT32, _VARIABLE, _BINARY, _TEXT, _PAIR = range(7)
_TYPES = [
    "Byte",
    "Two Byte Integer",
    "Four Byte Integer",
    "Variable Byte Integer",
    "Binary Data",
    "UTF-8 Encoded String",
    "UTF-8 String Pair",
]

_P = PacketTypes
_MESSAGE = [_P.PUBLISH, _P.WILLMESSAGE]
_HANDSHAKE = [_P.CONNECT, _P.CONNACK]
_EVERYWHERE = [*range(_P.CONNECT, _P.PINGREQ), _P.DISCONNECT, _P.AUTH, _P.WILLMESSAGE]
_EXPLAINED = [_P.CONNACK, *range(_P.PUBACK, _P.SUBSCRIBE), _P.SUBACK, _P.UNSUBACK, _P.DISCONNECT, _P.AUTH]

# Name, identifier, type, and the packets that may carry it: 5.0, table 2-4.
_TABLE: list[tuple[str, int, int, list[int]]] = [
    ("Payload Format Indicator", 1, _BYTE, _MESSAGE),
    ("Message Expiry Interval", 2, _INT32, _MESSAGE),
    ("Content Type", 3, _TEXT, _MESSAGE),
    ("Response Topic", 8, _TEXT, _MESSAGE),
    ("Correlation Data", 9, _BINARY, _MESSAGE),
    ("Subscription Identifier", 11, _VARIABLE, [_P.PUBLISH, _P.SUBSCRIBE]),
    ("Session Expiry Interval", 17, _INT32, [*_HANDSHAKE, _P.DISCONNECT]),
    ("Assigned Client Identifier", 18, _TEXT, [_P.CONNACK]),
    ("Server Keep Alive", 19, _INT16, [_P.CONNACK]),
    ("Authentication Method", 21, _TEXT, [*_HANDSHAKE, _P.AUTH]),
    ("Authentication Data", 22, _BINARY, [*_HANDSHAKE, _P.AUTH]),
    ("Request Problem Information", 23, _BYTE, [_P.CONNECT]),
    ("Will Delay Interval", 24, _INT32, [_P.WILLMESSAGE]),
    ("Request Response Information", 25, _BYTE, [_P.CONNECT]),
    ("Response Information", 26, _TEXT, [_P.CONNACK]),
    ("Server Reference", 28, _TEXT, [_P.CONNACK, _P.DISCONNECT]),
    ("Reason String", 31, _TEXT, _EXPLAINED),
    ("Receive Maximum", 33, _INT16, _HANDSHAKE),
    ("Topic Alias Maximum", 34, _INT16, _HANDSHAKE),
    ("Topic Alias", 35, _INT16, [_P.PUBLISH]),
    ("Maximum QoS", 36, _BYTE, [_P.CONNACK]),
    ("Retain Available", 37, _BYTE, [_P.CONNACK]),
    ("User Property", 38, _PAIR, _EVERYWHERE),
    ("Maximum Packet Size", 39, _INT32, _HANDSHAKE),
    ("Wildcard Subscription Available", 40, _BYTE, [_P.CONNACK]),
    ("Subscription Identifier Available", 41, _BYTE, [_P.CONNACK]),
    ("Shared Subscription Available", 42, _BYTE, [_P.CONNACK]),
]

_IDENTIFIERS = {name.replace(" ", ""): identifier for name, identifier, _, _ in _TABLE}
_REPEATED = frozenset(("UserProperty", "SubscriptionIdentifier"))
_PRIVATE = frozenset(("packetType", "types", "names", "properties"))

# The least and the greatest value of a number that the specification bounds.
_BOUNDS = {
    "ReceiveMaximum": (1, 65535),
    "TopicAlias": (1, 65535),
    "TopicAliasMaximum": (0, 65535),
    "MaximumPacketSize": (1, 268435455),
    "SubscriptionIdentifier": (1, 268435455),
}
_FLAGS = frozenset(("RequestResponseInformation", "RequestProblemInformation", "PayloadFormatIndicator"))


class Properties:
    """The properties of one packet, as attributes whose names are the specification's without the blanks.

    `p = Properties(PacketTypes.PUBLISH); p.MessageExpiryInterval = 60`. What is assigned to `UserProperty` and
    `SubscriptionIdentifier`, which a packet may carry more than once, is added to what they had. An attribute that was
    not assigned does not exist.
    """

    packetType: int
    # The same for all packets, and so of the class: a message that carries no property costs one attribute.
    types: ClassVar[list[str]] = _TYPES
    names: ClassVar[dict[str, int]] = {name: identifier for name, identifier, _, _ in _TABLE}
    properties: ClassVar[dict[int, tuple[int, list[int]]]] = {
        identifier: (kind, packets) for _, identifier, kind, packets in _TABLE
    }

    def __init__(self, packetType: int):
        self.packetType = packetType

    def allowsMultiple(self, compressedName: str) -> bool:
        """Whether a packet may carry the property of this name (without blanks) more than once."""
        return compressedName in _REPEATED

    def getIdentFromName(self, compressedName: str) -> int:
        """The identifier of the property of this name (without blanks), -1 if there is none."""
        return _IDENTIFIERS.get(compressedName, -1)

    def getNameFromIdent(self, identifier: int) -> str | None:
        """The name, with its blanks, of the property with this identifier."""
        return next((name for name, number in self.names.items() if number == identifier), None)

    def __setattr__(self, name: str, value: Any) -> None:
        """MQTTException for a name that is none, that this packet does not carry, or a value out of its range."""
        if name in _PRIVATE:
            object.__setattr__(self, name, value)
            return
        name = name.replace(" ", "")
        if name not in _IDENTIFIERS:
            raise MQTTException(f"Property name must be one of {self.names.keys()}")
        if self.packetType not in self.properties[_IDENTIFIERS[name]][1]:
            packet = PacketTypes.Names[self.packetType]
            raise MQTTException(f"Property {name} does not apply to packet type {packet}")
        if not isinstance(value, list):
            _check_value(name, value)
        if name in _REPEATED:
            value = [*getattr(self, name, []), *(value if isinstance(value, list) else [value])]
        object.__setattr__(self, name, value)

    def __str__(self) -> str:
        values = (f"{name} : {self.__dict__[name]}" for name in self._present())
        return "[" + ", ".join(values) + "]"

    def json(self) -> dict[str, Any]:
        """The properties by name; CorrelationData in hexadecimal."""
        data = {name: self.__dict__[name] for name in self._present()}
        if "CorrelationData" in data:
            data["CorrelationData"] = data["CorrelationData"].hex()
        return data

    def isEmpty(self) -> bool:
        """Whether no property was assigned."""
        return not self._present()

    def clear(self) -> None:
        """Forgets all properties."""
        for name in self._present():
            delattr(self, name)

    def writeProperty(self, identifier: int, type: int, value: Any) -> bytes:
        """The bytes of one property with this identifier, its value written as `types[type]`."""
        buffer = VariableByteIntegers.encode(identifier)
        if type == _BYTE:
            buffer += bytes([value])
        elif type == _INT16:
            buffer += writeInt16(value)
        elif type == _INT32:
            buffer += writeInt32(value)
        elif type == _VARIABLE:
            buffer += VariableByteIntegers.encode(value)
        elif type == _BINARY:
            buffer += writeBytes(value)
        elif type == _TEXT:
            buffer += writeUTF(value)
        elif type == _PAIR:
            buffer += writeUTF(value[0]) + writeUTF(value[1])
        return buffer

    def pack(self) -> bytes:
        """The bytes of all properties behind their length (2.2.2.1)."""
        buffer = b""
        for name in self._present():
            identifier = _IDENTIFIERS[name]
            kind = self.properties[identifier][0]
            value = self.__dict__[name]
            for single in value if name in _REPEATED else [value]:
                buffer += self.writeProperty(identifier, kind, single)
        return VariableByteIntegers.encode(len(buffer)) + buffer

    def readProperty(self, buffer: _Buffer, type: int, propslen: int) -> tuple[Any, int]:
        """The value at the start of `buffer`, read as `types[type]`, and how many bytes it took."""
        if type == _BYTE:
            return buffer[0], 1
        if type == _INT16:
            return readInt16(buffer), 2
        if type == _INT32:
            return readInt32(buffer), 4
        if type == _VARIABLE:
            return VariableByteIntegers.decode(buffer)
        if type == _BINARY:
            return readBytes(buffer, propslen)
        if type == _TEXT:
            return readUTF(buffer, propslen)
        if type == _PAIR:
            name, name_length = readUTF(buffer, propslen)
            value, value_length = readUTF(buffer[name_length:], propslen - name_length)
            return (name, value), name_length + value_length
        raise MalformedPacket(f"There is no type of property {type}")

    def unpack(self, buffer: _Buffer) -> tuple[Properties, int]:
        """Takes the properties at the start of `buffer` in place of its own; returns itself and the bytes it read."""
        self.clear()
        remaining, position = VariableByteIntegers.decode(buffer)
        total = position + remaining
        while position < total:
            identifier, length = VariableByteIntegers.decode(buffer[position:])
            position += length
            kind = self.properties[identifier][0]
            value, length = self.readProperty(buffer[position:], kind, total - position)
            position += length
            name = (self.getNameFromIdent(identifier) or "").replace(" ", "")
            if name in self.__dict__ and name not in _REPEATED:
                raise MQTTException(f"Property '{name}' must not exist more than once")
            setattr(self, name, value)
        return self, total

    def _present(self) -> list[str]:
        # In the order of the table, which is that of the wire.
        return [name for name in _IDENTIFIERS if name in self.__dict__] if len(self.__dict__) > 1 else []


def _check_value(name: str, value: Any) -> None:
    if name in _FLAGS:
        if value not in (0, 1):
            raise MQTTException(f"{name} property value must be 0 or 1")
    elif name in _BOUNDS:
        least, greatest = _BOUNDS[name]
        if value < least or value > greatest:
            raise MQTTException(f"{name} property value must be in the range {least}-{greatest}")
