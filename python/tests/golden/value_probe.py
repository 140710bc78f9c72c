"""What the value types of paho-mqtt answer, as JSON: run with genuine 2.2.0 and with ours, and compared.

`probe.py` of the golden tables asks the client; this one asks properties, reason codes, options and the matcher, down
to the exceptions that malformed bytes and values out of range raise.
"""

import json
import sys
import warnings

from paho.mqtt import enums, exception, matcher, packettypes, properties, reasoncodes, subscribeoptions

P, R, S, T = properties.Properties, reasoncodes.ReasonCode, subscribeoptions.SubscribeOptions, packettypes.PacketTypes
ANSWERS = {}


def ask(name, call):
    """Records what `call` returns or raises."""
    try:
        ANSWERS[name] = show(call())
    except Exception as error:
        ANSWERS[name] = f"!! {type(error).__name__}: {error}"


def show(value):
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[{', '.join(show(item) for item in value)}]"
    if isinstance(value, P):
        return f"Properties({value.packetType}, {value})"
    return f"{type(value).__name__} {value!r}"


def put(packet_type, name, value):
    values = P(packet_type)
    setattr(values, name, value)
    return [getattr(values, name), values.pack(), values.json(), str(values), values.isEmpty()]


def enumerations():
    for name in ("MQTTErrorCode", "MQTTProtocolVersion", "CallbackAPIVersion", "MessageType", "LogLevel"):
        cls = getattr(enums, name)
        ask(name, lambda cls=cls: [(key, repr(value), str(value)) for key, value in cls.__members__.items()])
    for name in ("ConnackCode", "MessageState", "PahoClientMode", "_ConnectionState"):
        cls = getattr(enums, name)
        ask(name, lambda cls=cls: [(key, repr(value), value.value) for key, value in cls.__members__.items()])
    ask("exceptions", lambda: [exception.MQTTException.__mro__, exception.MalformedPacket.__mro__])


def integers():
    for value in (0, 1, 127, 128, 16383, 16384, 2097152, 268435455, 268435456, -1, 1.5, "a"):
        ask(f"vbi encode {value!r}", lambda value=value: properties.VariableByteIntegers.encode(value))
    for data in (
        b"\x00",
        b"\x7f",
        b"\x80\x01",
        b"\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\x01",
        b"\x80",
        b"",
        b"\x80\x00",
    ):
        ask(f"vbi decode {data!r}", lambda data=data: properties.VariableByteIntegers.decode(data))
    for value in (0, 1, 65535, 65536, -1, "a", 2**32 - 1, 2**32):
        ask(f"writeInt16 {value!r}", lambda value=value: properties.writeInt16(value))
        ask(f"writeInt32 {value!r}", lambda value=value: properties.writeInt32(value))
    for data in (b"", b"\x01", b"\x01\x02", b"\x01\x02\x03", b"\x01\x02\x03\x04", b"\x01\x02\x03\x04\x05"):
        ask(f"readInt16 {data!r}", lambda data=data: properties.readInt16(data))
        ask(f"readInt32 {data!r}", lambda data=data: properties.readInt32(data))


def strings():
    for value in ("", "a", "é", b"raw", bytearray(b"raw"), 5, None, "a" * 65535, "a" * 65536, "\x00", "\ufeff"):
        name = repr(value)[:20]
        ask(f"writeUTF {name} {len(repr(value))}", lambda value=value: properties.writeUTF(value)[:20])
        ask(f"writeBytes {name} {len(repr(value))}", lambda value=value: properties.writeBytes(value)[:20])
    cases = (
        b"\x00\x01a",
        b"\x00\x02a",
        b"\x00",
        b"",
        b"\x00\x00",
        b"\x00\x01\x00",
        b"\x00\x03\xef\xbb\xbf",
        b"\x00\x01\xff",
    )
    cases += (b"\x00\x03\xed\xa0\x80", b"\x00\x02ab", b"\x00\x02a\x00", b"\x00\x04a\xef\xbb\xbf", b"\x00\x03abcd")
    for data in cases:
        for maxlen in (0, 2, 3, 4, 100):
            ask(f"readUTF {data!r} {maxlen}", lambda: properties.readUTF(data, maxlen))
            ask(f"readBytes {data!r} {maxlen}", lambda: properties.readBytes(data, maxlen))
            ask(f"readUTF ba {data!r} {maxlen}", lambda: properties.readUTF(bytearray(data), maxlen))


VALUES = (0, 1, 2, -1, 65535, 65536, 268435455, 268435456, 2**32 - 1, 2**32, 1.5, "text", b"bytes", None, True)
VALUES += (("a", "b"), [("a", "b"), ("c", "d")], ["a", "b"], [1, 2], ("a",), [["a", "b"]], (1, 2), [], "", b"")


def property_values():
    names = [name.replace(" ", "") for name in P(1).names]
    for name in names:
        for packet_type in (*T.indexes, T.WILLMESSAGE):
            ask(f"{packet_type}.{name}", lambda: put(packet_type, name, 1))
        for value in VALUES:
            for packet_type in (1, 2, 3, 8, 99, 14):
                ask(f"{packet_type}.{name}={value!r}", lambda: put(packet_type, name, value))
        ask(f"getIdentFromName {name}", lambda: P(1).getIdentFromName(name))
        ask(f"allowsMultiple {name}", lambda: P(1).allowsMultiple(name))
    for name in ("packetType", "types", "names", "properties", "nope", "User Property", "pack", "__class__", "_x"):
        ask(f"set {name}", lambda: put(3, name, 1))
    for number in (*range(-1, 50), "x", None):
        ask(f"getNameFromIdent {number}", lambda: P(1).getNameFromIdent(number))
        ask(f"Properties({number!r})", lambda: P(number))
        ask(f"Properties({number!r}).isEmpty", lambda: P(number).isEmpty())
    ask("Properties(99)", lambda: P(99))
    ask("getIdentFromName nope", lambda: P(1).getIdentFromName("nope"))
    ask("allowsMultiple nope", lambda: P(1).allowsMultiple("nope"))


def property_sequences():
    def several():
        values = P(3)
        values.UserProperty = ("a", "1")
        first = values.UserProperty
        values.UserProperty = [("b", "2"), ("c", "3")]
        values.SubscriptionIdentifier = 1
        values.SubscriptionIdentifier = [2, 3]
        before = [
            first is values.UserProperty,
            values.UserProperty,
            values.SubscriptionIdentifier,
            values.pack(),
            values.json(),
        ]
        values.clear()
        return [*before, str(values), values.isEmpty(), values.packetType, values.pack()]

    def deleted():
        values = P(3)
        values.TopicAlias = 3
        values.TopicAlias = 4
        del values.TopicAlias
        return [values.isEmpty(), values.pack(), hasattr(values, "TopicAlias")]

    def fresh_list():
        values, mine = P(3), [("a", "b")]
        values.UserProperty = mine
        values.UserProperty = ("c", "d")
        return [mine, values.UserProperty]

    def inside():
        values = P(3)
        values.UserProperty = ("a", "1")
        values.UserProperty.append(("b", "2"))
        values.unpack(bytes(P(3).pack()))
        return [values.UserProperty, values.pack()]

    for call in (several, deleted, fresh_list, inside):
        ask(call.__name__, call)
    ask("tables", lambda: [P(1).names, P(1).properties, P(1).types])


def property_bytes():
    cases = (
        b"\x00",
        b"",
        b"\x02\x0b\x05",
        b"\x03#\x00\x01",
        b"\x06#\x00\x01#\x00\x02",
        b"\x02\x01\x01",
        b"\x02\x01\x02",
    )
    cases += (
        b"\x07&\x00\x01a\x00\x01b",
        b"\x05\x02\x00\x00\x00\x05",
        b"\x02\x7f\x01",
        b"\x03!\x00\x14",
        b"\x03!\x00\x00",
    )
    cases += (
        b"\x07&\x00\x01a\x00\x01",
        b"\x06&\x00\x01a\x00\x01b",
        b"\x0e&\x00\x01a\x00\x01b&\x00\x01c\x00\x01d",
        b"\x03#\x00",
    )
    cases += (
        b"\x04\x03\x00\x01\xff",
        b"\x04\x09\x00\x01\xff",
        b"\x04\x0b\x05\x0b\x06",
        b"\x80",
        b"\x02$\x01rest",
        b"\x03\x0b\x80\x01",
    )
    for packet_type in (1, 2, 3, 8, 14, 99):
        for data in cases:
            ask(f"unpack {packet_type} {data!r}", lambda: P(packet_type).unpack(data))
            ask(f"unpack ba {packet_type} {data!r}", lambda: P(packet_type).unpack(bytearray(data)))
    for kind in range(8):
        ask(f"readProperty {kind}", lambda: P(3).readProperty(b"\x00\x01a\x00\x01b", kind, 6))
        ask(f"writeProperty {kind}", lambda: P(3).writeProperty(3, kind, 1))
        ask(f"writeProperty s {kind}", lambda: P(3).writeProperty(3, kind, "x"))
        ask(f"writeProperty p {kind}", lambda: P(3).writeProperty(3, kind, ("x", "y")))


def reason_codes():
    def all_of(code):
        packed = code.pack()
        return [
            str(code),
            repr(code),
            code.value,
            code.getName(),
            code.is_failure,
            code.json(),
            packed,
            code.packetType,
        ]

    for packet_type in (*range(17), 99):
        for identifier in (*range(-2, 30), *range(126, 165), 255):
            ask(f"R({packet_type}, {identifier})", lambda: all_of(R(packet_type, identifier=identifier)))
    names = {name for by_id in R(2).names.values() for name in by_id} | {"nope", ""}
    for packet_type in (2, 4, 5, 6, 7, 9, 11, 14, 15):
        for name in sorted(names):
            ask(f"R({packet_type}, {name!r})", lambda: all_of(R(packet_type, name)))
            ask(
                f"getId {packet_type} {name}",
                lambda: R(
                    packet_type if packet_type != 9 else 9, *(["Granted QoS 1"] if packet_type == 9 else [])
                ).getId(name),
            )
    ask(
        "names",
        lambda: sorted(
            (key, sorted((name, list(types)) for name, types in by_id.items())) for key, by_id in R(2).names.items()
        ),
    )
    ask("set", lambda: (lambda code: (code.set("Not authorized"), code.value))(R(2)))
    ask("set nope", lambda: R(2).set("nope"))
    for data in (b"\x00", b"\x87", b"\xff", b"", b"\x87\x00"):
        ask(f"unpack {data!r}", lambda: (lambda code: (code.unpack(data), code.value, code.getName()))(R(2)))
        ask(f"unpack ba {data!r}", lambda: (lambda code: (code.unpack(bytearray(data)), code.value))(R(2)))
    for other in (0, 135, "Success", "Not authorized", R(2), R(4), R(2, identifier=135), None, 1.5, b"x", True):
        for code in (R(2), R(2, identifier=135)):
            for sign in ("__eq__", "__ne__", "__lt__", "__gt__", "__le__", "__ge__"):
                ask(f"{code!r}.{sign}({other!r})", lambda: getattr(code, sign)(other))
    ask("<None", lambda: R(2) < None)
    ask("<'x'", lambda: R(2) < "x")
    ask("sorted", lambda: sorted([R(2, identifier=135), R(2), R(2, identifier=128)]))
    ask("attribute", lambda: setattr(R(2), "mine", 1))
    ask("value", lambda: (lambda code: (setattr(code, "value", 135), str(code)))(R(2)))


def old_reason_codes():
    def warned():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            code = reasoncodes.ReasonCodes(2, "Success", 135)
        return [str(code), repr(code), code.value, [(w.category.__name__, str(w.message)) for w in caught]]

    ask("ReasonCodes", warned)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = reasoncodes.ReasonCodes(2)
    ask(
        "isinstance",
        lambda: [
            isinstance(R(2), reasoncodes.ReasonCodes),
            isinstance(old, R),
            isinstance(old, reasoncodes.ReasonCodes),
            isinstance(5, reasoncodes.ReasonCodes),
        ],
    )
    ask("issubclass", lambda: [issubclass(reasoncodes.ReasonCodes, R), issubclass(R, reasoncodes.ReasonCodes)])
    ask("old == new", lambda: [old == R(2), R(2) == old, old == 0, hash(old)])


def options():
    values = (0, 1, 2, 3, -1, True, False, None, "1", 1.0)
    for name in ("qos", "noLocal", "retainAsPublished", "retainHandling"):
        for value in values:
            ask(
                f"S({name}={value!r})",
                lambda: (lambda made: [str(made), repr(made), made.pack(), made.json()])(S(**{name: value})),
            )
    for name in ("QoS", "noLocal", "retainAsPublished", "retainHandling", "names", "qos", "foo", "_x"):
        for value in values:

            def put_option(name=name, value=value):
                made = S()
                setattr(made, name, value)
                return [getattr(made, name), made.pack(), str(made)]

            ask(f"S.{name}={value!r}", put_option)
    for byte in range(256):
        ask(f"S.unpack {byte}", lambda: (lambda made: [made.unpack(bytes([byte])), str(made)])(S()))
    ask("S.unpack empty", lambda: S().unpack(b""))
    ask("S constants", lambda: [S.RETAIN_SEND_ON_SUBSCRIBE, S.RETAIN_SEND_IF_NEW_SUB, S.RETAIN_DO_NOT_SEND])
    ask("S==", lambda: [S(1) == S(1), hash(S(1)) is not None])


def matching():
    filters = (
        "a/b",
        "a/+",
        "a/#",
        "#",
        "+",
        "+/b",
        "+/+",
        "a/+/c",
        "/",
        "",
        "$SYS/#",
        "$SYS/+",
        "/+",
        "+/",
        "a",
        "a/b/#",
        "$x/a",
    )
    topics = (
        "a/b",
        "a",
        "a/b/c",
        "/",
        "",
        "$SYS",
        "$SYS/x",
        "/a",
        "a/",
        "b",
        "$x/a",
        "b/b",
        "a//b",
        "$SYS/x/y",
        "$SYS/",
    )
    table = matcher.MQTTMatcher()
    for text in filters:
        table[text] = text
    for topic in topics:
        ask(f"match {topic!r}", lambda: list(table.iter_match(topic)))

    def removed():
        table = matcher.MQTTMatcher()
        for text in ("a/b/c", "a/b", "a/+"):
            table[text] = text
        del table["a/b/c"]
        kept = [list(table.iter_match("a/b")), list(table.iter_match("a/b/c")), table["a/b"]]
        table["a/b"] = None
        return [*kept, list(table.iter_match("a/b")), table["a/b"]]

    ask("removed", removed)
    for key in ("a", "a/b/c/d", "zz", 5, None):
        ask(f"get {key!r}", lambda: table[key])
        ask(f"del {key!r}", lambda: table.__delitem__(key))
    ask("again", lambda: table.__delitem__("a"))
    ask("inner", lambda: (lambda m: (m.__setitem__("a/b", 1), m["a"]))(matcher.MQTTMatcher()))
    ask("inner del", lambda: (lambda m: (m.__setitem__("a/b", 1), m.__delitem__("a")))(matcher.MQTTMatcher()))


for part in (
    enumerations,
    integers,
    strings,
    property_values,
    property_sequences,
    property_bytes,
    reason_codes,
    old_reason_codes,
    options,
    matching,
):
    part()
json.dump(ANSWERS, sys.stdout, indent=1, sort_keys=True)
