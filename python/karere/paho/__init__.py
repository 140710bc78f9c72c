"""paho-mqtt's API on karere's core: this package is `paho.mqtt`.

A program gets it in one of three ways: the distribution `karere-paho` is installed and `import paho.mqtt.client` finds
this; it is started with `python -m karere.paho app.py`; or it calls `karere.paho.install()` first.
"""

from __future__ import annotations

from ._install import install
from .exception import MQTTException

#: The version of paho-mqtt whose API this is.
__version__ = "2.2.0"

__all__ = ["MQTTException", "__version__", "install"]
