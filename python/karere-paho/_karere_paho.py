"""Makes `import paho.mqtt...` find `karere.paho`: `karere_paho.pth` imports this when Python starts.

Every interpreter of this environment pays for what stands here, so it is small, and asks for `karere` only when
somebody asks for `paho`.
"""

import os
import sys


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "paho" and not name.startswith("paho."):
            return None
        # What is below `paho` comes from where `paho` came from.
        wanted = (
            os.environ.get("KARERE_PAHO") != "0" if name == "paho" else hasattr(sys.modules.get("paho"), "__karere__")
        )
        if not wanted:
            return None
        try:
            from karere.paho._install import spec_of
        except ModuleNotFoundError as error:
            if error.name == "karere":  # uninstalled, and this was not
                return None
            raise
        return spec_of(name)


sys.meta_path.insert(0, _Finder)
