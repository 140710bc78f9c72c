"""paho-mqtt's API of ours, with the program that genuine paho-mqtt runs."""

import karere.paho

karere.paho.install()

from with_paho import latency, publish, receive  # noqa: E402, F401
