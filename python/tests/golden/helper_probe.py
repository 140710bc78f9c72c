"""What paho-mqtt's `publish` and `subscribe` ask of their client, as JSON: run with genuine 2.2.0 and with ours.

The client is a recorder: it keeps each call, and its `loop_forever` plays what a broker would have caused.
"""

import json
import ssl
import sys

import paho.mqtt.client as client_module
from paho.mqtt import publish, subscribe
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

ANSWERS = {}
CALLS = []
ACCEPT = [True]


class Recorder:
    """A client that does nothing but remember."""

    def __init__(self, *args, **kwargs):
        self.userdata = self._userdata = kwargs.get("userdata")
        shown = {key: value for key, value in kwargs.items() if key != "userdata"}
        CALLS.append(f"Client({args}, {sorted(shown.items(), key=str)})")

    def __getattr__(self, name):
        if name.startswith("on_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self._call(name, args, kwargs)

    def _call(self, name, args, kwargs):
        shown = ["<ssl>" if isinstance(item, ssl.SSLContext) else item for item in args]
        CALLS.append(f"{name}({shown}, {sorted(kwargs.items(), key=str)})")
        return self._play() if name == "loop_forever" else None

    def user_data_set(self, userdata):
        self.userdata = userdata

    def _play(self):
        code = ReasonCode(PacketTypes.CONNACK, "Success" if ACCEPT[0] else "Not authorized")
        self.on_connect(self, self.userdata, None, code, None)
        if hasattr(self, "on_publish"):
            for mid in range(3):
                if CALLS[-1].startswith("disconnect"):
                    break
                self.on_publish(self, self.userdata, mid, code, None)
        if hasattr(self, "on_message"):
            for number in range(4):
                message = client_module.MQTTMessage(number, b"t")
                message.retain = number == 0
                self.on_message(self, self.userdata, message)


client_module.Client = Recorder


def ask(name, call):
    """Records what `call` returns or raises, and what it asked of its client."""
    CALLS.clear()
    try:
        answer = show(call())
    except BaseException as error:
        answer = f"!! {type(error).__name__}: {error}"
    ANSWERS[name] = [answer, *CALLS]


def show(value):
    if isinstance(value, list):
        return [show(item) for item in value]
    return f"mid {value.mid}" if isinstance(value, client_module.MQTTMessage) else repr(value)


def publishing():
    message = {"topic": "a", "payload": "b"}
    ask("single", lambda: publish.single("t"))
    ask(
        "single all",
        lambda: publish.single(
            "t", b"x", 2, True, "h", 8883, "id", 5, protocol=client_module.MQTTv5, transport="websockets"
        ),
    )
    for name, messages in (
        ("dict", [message]),
        ("tuple", [("t", "x", 1, True)]),
        ("list", [["t", "x"]]),
        ("several", [message, ("t",), message]),
        ("str", "abc"),
        ("int", 5),
        ("none", None),
        ("empty", []),
        ("object", [5]),
        ("second bad", [message, 5]),
        ("a dict", message),
        ("generator", (item for item in [message])),
        ("iterator", iter([])),
        ("tuple of", (message,)),
        ("set", {("t", "x")}),
    ):
        ask(f"multiple {name}", lambda messages=messages: publish.multiple(messages))
    for auth in (
        {"username": "u"},
        {"username": "u", "password": "p"},
        {"password": "p"},
        {},
        {"username": ""},
        5,
        ("u", "p"),
        {"username": None, "password": "p"},
    ):
        ask(f"publish auth {auth}", lambda auth=auth: publish.single("t", auth=auth))
        ask(f"subscribe auth {auth}", lambda auth=auth: subscribe.callback(print_nothing, "t", auth=auth))


def print_nothing(*_):
    """A callback that does nothing."""


def options():
    for name, call in (
        ("publish", lambda **kwargs: publish.single("t", **kwargs)),
        ("subscribe", lambda **kwargs: subscribe.simple("t", **kwargs)),
    ):
        for will in ({"topic": "w"}, {"topic": "w", "payload": "x", "qos": 1, "retain": True}, {}, 5):
            ask(f"{name} will {will}", lambda will=will: call(will=will))
        for proxy in ({"proxy_type": 2, "proxy_addr": "x"}, {}, None):
            ask(f"{name} proxy {proxy}", lambda proxy=proxy: call(proxy_args=proxy))
        for tls in (
            {"ca_certs": "x"},
            {"ca_certs": "x", "insecure": True},
            {"ca_certs": "x", "insecure": False},
            {},
            ssl.create_default_context(),
            5,
        ):
            ask(
                f"{name} tls {tls if not isinstance(tls, ssl.SSLContext) else 'context'}",
                lambda tls=tls: [call(tls=tls), tls if isinstance(tls, dict) else 0],
            )
        ask(
            f"{name} kwargs",
            lambda: call(hostname="h", port=1, client_id="i", keepalive=2, protocol=3, transport="unix"),
        )
        ACCEPT[0] = False
        ask(f"{name} refused", call)
        ACCEPT[0] = True


def subscribing():
    for count in (1, 2, 3, 0, -1, "a"):
        for retained in (True, False):
            ask(
                f"simple {count} {retained}",
                lambda count=count, retained=retained: subscribe.simple("t", 1, count, retained),
            )
    for topics in ("t", ["a", "b"], [("a", 1)], ("a", 1), [], 5, None, ("a", "b")):
        ask(f"topics {topics}", lambda topics=topics: subscribe.simple(topics, 2))
    for qos in (0, 1, 2, 3, -1, "1", None):
        ask(f"qos {qos}", lambda qos=qos: subscribe.simple("t", qos))
    for session in (True, False, None):
        ask(f"session {session}", lambda session=session: subscribe.simple("t", clean_session=session))
        ask(
            f"session v5 {session}",
            lambda session=session: subscribe.simple("t", clean_session=session, protocol=client_module.MQTTv5),
        )
    seen = []
    ask(
        "callback",
        lambda: [
            subscribe.callback(
                lambda client, userdata, message: seen.append((userdata, message.mid)), "t", userdata="mine"
            ),
            list(seen),
        ],
    )
    ask(
        "callback data",
        lambda: subscribe.callback(
            lambda client, userdata, message: CALLS.append(str(sorted(client.userdata))), "t", userdata="mine"
        ),
    )


for part in (publishing, options, subscribing):
    part()
json.dump(ANSWERS, sys.stdout, indent=1, sort_keys=True)
