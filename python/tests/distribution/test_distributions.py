"""Both packages as a user gets them: from a checkout, as wheels, from the sdist; and karere-paho beside paho-mqtt."""

from __future__ import annotations

import pathlib
import re
import sys
import tarfile
import zipfile

import pytest

from conftest import ROOT, Broker, run

from .environments import Environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("distributions")]

WHO = "import paho.mqtt.client as c; print(c.__name__, c.Client.__module__)"
OURS = "karere.paho.client karere.paho.client"
GENUINE = "paho.mqtt.client paho.mqtt.client"
VERSION = "from importlib.metadata import version as v; print(v('paho-mqtt'))"
CHILD = """
import multiprocessing

def ask(queue):
    import paho.mqtt.client
    queue.put(paho.mqtt.client.__name__)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=ask, args=(queue,))
    child.start()
    print(queue.get(timeout=30))
    child.join()
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    """Both wheels, of the same build as what is under test here."""
    folder = tmp_path_factory.mktemp("wheels")
    Here().pip("wheel", "--quiet", "--no-build-isolation", "--no-deps", "-w", folder, ".", "./python/karere-paho")
    return sorted(folder.glob("*.whl"))


class Here(Environment):
    """The environment that the tests run in."""

    target = "target/wheel"

    def __init__(self) -> None:
        self.folder = pathlib.Path(sys.prefix)
        self.python = sys.executable


def test_the_wheels_hold_what_they_must_and_nothing_under_paho(wheels: list[pathlib.Path]) -> None:
    karere, hook = (zipfile.ZipFile(path).namelist() for path in wheels)
    assert {"karere/py.typed", "karere/paho/client.py"} <= set(karere)
    assert any(re.fullmatch(r"karere/_karere\..*so", name) for name in karere)
    assert [name for name in hook if ".dist-info/" not in name] == ["_karere_paho.py", "karere_paho.pth"]
    assert not any(name.startswith(("paho/", "tests/")) for name in karere + hook)


def test_both_packages_are_of_one_version(wheels: list[pathlib.Path]) -> None:
    versions = [path.name.split("-")[1] for path in wheels]
    assert versions[0] == versions[1]
    (metadata,) = (name for name in zipfile.ZipFile(wheels[1]).namelist() if name.endswith("METADATA"))
    assert f"Requires-Dist: karere=={versions[0]}" in zipfile.ZipFile(wheels[1]).read(metadata).decode()


def test_karere_paho_is_found_whatever_becomes_of_paho_mqtt(wheels: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    environment = Environment(tmp_path / "venv")
    program = tmp_path / "child.py"
    program.write_text(CHILD)
    environment.install(*wheels)
    assert environment.says(WHO) == OURS
    assert environment.says(WHO, KARERE_PAHO="0") == "ModuleNotFoundError: No module named 'paho'"
    assert "PackageNotFoundError" in environment.says(VERSION)

    environment.install("aiomqtt")  # which wants paho-mqtt
    assert environment.says(WHO) == OURS
    assert environment.says("import aiomqtt.client as a; print(a.mqtt.__name__)") == "karere.paho.client"
    assert environment.says(VERSION).startswith("2.")
    assert environment.runs(program) == "karere.paho.client"
    assert environment.says(WHO, KARERE_PAHO="0") == GENUINE
    assert environment.runs(program, KARERE_PAHO="0") == "paho.mqtt.client"

    environment.uninstall("karere-paho")
    assert environment.says(WHO) == GENUINE
    assert environment.says("import karere.paho.client as c; print(c.__name__)") == "karere.paho.client"

    environment.install("--no-deps", *wheels)  # with paho-mqtt there before it
    assert environment.says(WHO) == OURS
    environment.uninstall("karere")
    assert environment.says(WHO) == GENUINE

    environment.install("--no-deps", *wheels)
    environment.uninstall("paho-mqtt")
    assert environment.says(WHO) == OURS
    assert environment.runs(program) == "karere.paho.client"


def test_an_interpreter_that_imports_no_paho_pays_for_one_small_module(
    wheels: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    environment = Environment(tmp_path / "venv")
    bare = "import sys; print(sorted(sys.modules))"
    before = environment.says(bare)
    environment.install(*wheels)
    after = environment.says(bare)
    assert eval(after) == sorted([*eval(before), "_karere_paho"])


def fresh() -> Environment:
    """An environment with nothing in it, always in one place: the builds for it take up what the last run built."""
    return Environment(ROOT / "target/python-venv/fresh")


def test_a_checkout_installs_as_readme_says(karere_broker: Broker) -> None:
    environment = fresh()
    environment.install(".", "./python/karere-paho")
    assert environment.says(WHO) == OURS
    sent = f"import paho.mqtt.publish as p; p.single('packaging', 'x', 1, port={karere_broker.port}); print('sent')"
    assert environment.says(sent) == "sent"


def test_the_sdist_installs_where_there_is_no_checkout(tmp_path: pathlib.Path, karere_broker: Broker) -> None:
    run([sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)], cwd=ROOT, timeout=300)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    kept_out = [name for name in names if re.search(r"\.so$|/target/|python/tests|/fuzz/", name)]
    assert not kept_out
    environment = fresh()
    environment.install(archive)
    sent = f"import karere.paho.publish as p; p.single('packaging', 'x', 1, port={karere_broker.port}); print('sent')"
    assert environment.says(sent) == "sent"
