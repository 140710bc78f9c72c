"""`python -m karere.paho` and `karere.paho.install()`: the ways without karere-paho."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

import karere.paho
from conftest import genuine, ours, run


def test_a_program_runs_as_if_python_had_started_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "neighbour.py").write_text("NAME = 'neighbour'\n")
    program = tmp_path / "app.py"
    program.write_text(
        "import sys, neighbour, paho.mqtt.client as mqtt, karere.paho.client as karere\n"
        "print(__name__, sys.argv[1:], __file__ == sys.argv[0], neighbour.NAME, mqtt is karere)\n"
        "print(sys.modules['__main__'].sys is sys)\n"
    )
    printed = run([*ours(), str(program), "a", "-b"])
    assert printed == "__main__ ['a', '-b'] True neighbour True\nTrue\n"


def test_a_module_runs_by_its_name(tmp_path: pathlib.Path) -> None:
    package = tmp_path / "app"
    package.mkdir()
    (package / "__main__.py").write_text("import sys, paho.mqtt; print(__name__, paho.mqtt.__name__, sys.argv[1:])\n")
    assert run([*ours(), "-m", "app", "x"], cwd=tmp_path) == "__main__ karere.paho ['x']\n"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [([], 2, "usage: "), (["--help"], 0, "usage: "), (["-m"], 2, "usage: "), (["no.py"], 1, "can't open file 'no.py'")],
)
def test_what_it_cannot_run_it_says(arguments: list[str], code: int, text: str) -> None:
    done = subprocess.run([*ours(), *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == code
    assert text in done.stdout + done.stderr


def test_a_traceback_names_the_program_and_the_line(tmp_path: pathlib.Path) -> None:
    program = tmp_path / "app.py"
    program.write_text("import paho.mqtt\n\nraise ValueError('here')\n")
    done = subprocess.run([*ours(), str(program)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f'File "{program}", line 3' in done.stderr


def in_genuine(code: str) -> subprocess.CompletedProcess[str]:
    """Runs `code` where paho-mqtt 2.2.0 is installed, and karere without its hook."""
    packages = str(pathlib.Path(karere.paho.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": packages}
    command = [genuine("2.2.0"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)


SAME = (
    "import sys, paho.mqtt.matcher as a, karere.paho.matcher as b\n"
    "print(a is b, sys.modules['paho'].mqtt is sys.modules['karere.paho'])"
)


def test_install_serves_paho_although_paho_mqtt_is_installed() -> None:
    done = in_genuine(f"import karere.paho; karere.paho.install(); karere.paho.install()\n{SAME}")
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_install_after_an_import_of_paho_says_so() -> None:
    done = in_genuine("import paho.mqtt.client, karere.paho; karere.paho.install()")
    assert done.returncode == 1
    assert "ImportError: paho is already imported, from " in done.stderr
    assert "call karere.paho.install() before the first import of paho" in done.stderr


def test_without_install_paho_mqtt_stays_what_it_is() -> None:
    done = in_genuine("import karere.paho, paho.mqtt.matcher as m; print(m.__name__)")
    assert (done.returncode, done.stdout) == (0, "paho.mqtt.matcher\n"), done.stderr


CASES = {
    "every submodule is the same object": (
        "import importlib\n"
        "names = 'client publish subscribe enums properties packettypes reasoncodes matcher exception'\n"
        "for n in names.split():\n"
        "    assert importlib.import_module('paho.mqtt.' + n) is importlib.import_module('karere.paho.' + n), n\n"
    ),
    "from paho import mqtt": "from paho import mqtt\nimport karere.paho\nassert mqtt is karere.paho\n",
    "what is not there is not found": (
        "for name in ('paho.mqtt.nothing', 'paho.nothing'):\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError as error: assert error.name == name\n"
        "    else: raise AssertionError(name)\n"
    ),
    "a module that was taken out is run again": (
        "import sys, paho.mqtt.matcher as old\n"
        "del sys.modules['paho.mqtt.matcher']\n"
        "import paho.mqtt.matcher as new, karere.paho.matcher as ours\n"
        "assert new is not old and new is ours and new.MQTTMatcher is not old.MQTTMatcher\n"
    ),
    "the import system can be asked": (
        "import importlib.util, importlib.metadata\n"
        "assert importlib.util.find_spec('paho.mqtt.client').origin.endswith('client.py')\n"
        "assert importlib.util.find_spec('paho').submodule_search_locations == []\n"
        "importlib.invalidate_caches(); list(importlib.metadata.distributions())\n"
    ),
    "what was pickled is found": (
        "import pickle, paho.mqtt.enums as e\n"
        "assert pickle.loads(pickle.dumps(e.MQTTErrorCode.MQTT_ERR_AGAIN)) is e.MQTTErrorCode.MQTT_ERR_AGAIN\n"
        "assert pickle.loads(b'cpaho.mqtt.enums\\nMQTTErrorCode\\n.') is e.MQTTErrorCode\n"
    ),
    "the version is that of the API": "import paho.mqtt\nassert paho.mqtt.__version__ == '2.2.0'\n",
}


@pytest.mark.parametrize("code", CASES.values(), ids=CASES.keys())
def test_under_the_name_of_paho(code: str, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "app.py"
    program.write_text(code)
    run([*ours(), str(program)])
    # The same with the hook alone, where it is installed.
    run([sys.executable, str(program)])
