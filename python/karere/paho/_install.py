"""Serves `karere.paho` under the names `paho.mqtt` and below: how an unchanged program gets it.

The distribution karere-paho asks here from its `.pth` hook, `karere.paho.install()` from its own finder.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # importlib.abc brings more than it gives

_OURS = "karere.paho"
# Set on the package `paho`, so that its submodules are ours only if it is.
_MARK = "__karere__"


def install() -> None:
    """Makes every later `import paho.mqtt...` of this process find `karere.paho`.

    ImportError if another `paho` is imported already: what holds its objects would not meet ours. A second call does
    nothing.
    """
    loaded = sys.modules.get("paho")
    if loaded is None:
        sys.meta_path.insert(0, _Finder())
        importlib.import_module("paho")
    elif not hasattr(loaded, _MARK):
        where = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", [])), "somewhere")
        raise ImportError(
            f"paho is already imported, from {where}: call karere.paho.install() before the first import of paho, "
            "of something that imports it, or install karere-paho",
            name="paho",
        )


def spec_of(name: str) -> ModuleSpec | None:
    """The import specification for `paho` or a module below it, None for what we do not have."""
    if name == "paho":
        return ModuleSpec(name, _PackageLoader(), origin=_OURS, is_package=True)
    if not hasattr(sys.modules.get("paho"), _MARK) or (name + ".").find("paho.mqtt.") != 0:
        return None
    ours = _OURS + name[len("paho.mqtt") :]
    spec = sys.modules[ours].__spec__ if ours in sys.modules else find_spec(ours)
    if spec is None:
        return None
    return ModuleSpec(
        name, _AliasLoader(ours), origin=spec.origin, is_package=spec.submodule_search_locations is not None
    )


class _Finder:
    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_of(name) if name == "paho" or name.startswith("paho.") else None


class _PackageLoader(Loader):
    """Makes `paho`, a package with nothing in it but `mqtt`."""

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__doc__ = "paho-mqtt's API, served by karere."
        setattr(module, _MARK, _OURS)
        importlib.import_module("paho.mqtt")


class _AliasLoader(Loader):
    """Puts a module of ours in `sys.modules` under another name, as the same object."""

    served: set[str] = set()

    def __init__(self, ours: str):
        self.ours = ours

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # Who takes a module out of `sys.modules` and imports it again wants it run again: tests do that.
        if module.__name__ in self.served:
            sys.modules.pop(self.ours, None)
        self.served.add(module.__name__)
        # The import system takes what stands in `sys.modules` after this call.
        sys.modules[module.__name__] = importlib.import_module(self.ours)
