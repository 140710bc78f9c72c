"""Every call of the golden tables that needs no broker, and the value types against genuine paho-mqtt 2.2.0."""

from __future__ import annotations

import ast
import pathlib
from typing import Any

import pytest

from conftest import genuine, ours, run, shared_folder

from .differences import allowed, complaints, read, report

HERE = pathlib.Path(__file__).parent
# The line of probe.py that tells it which paho-mqtt it has: without it, it writes what a program for 1.x writes.
WHICH_PAHO = 'V2 = hasattr(m, "CallbackAPIVersion")'


def golden(name: str) -> dict[str, Any]:
    return read((shared_folder() / "paho-golden" / name).read_text())


@pytest.fixture(scope="module")
def new_program() -> dict[str, Any]:
    """What we answer to a program for 2.x."""
    return read(run([*ours(), str(shared_folder() / "paho-golden/probe.py")]))


@pytest.fixture(scope="module")
def old_program(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What we answer to a program for 1.x."""
    source = (shared_folder() / "paho-golden/probe.py").read_text()
    assert WHICH_PAHO in source
    path = tmp_path_factory.mktemp("probe") / "probe.py"
    path.write_text(source.replace(WHICH_PAHO, "V2 = False"))
    return read(run([*ours(), str(path)]))


def test_a_program_for_2_x_gets_the_answers_of_2_2_0(new_program: dict[str, Any]) -> None:
    table, old_table = golden("probe_v2.json")["probe"], golden("probe_v1.json")["probe"]
    assert len(table) == 344
    found = complaints("probe", table, new_program["probe"], old_table)
    assert not found, report("probe", found)


def test_a_program_for_1_x_gets_the_answers_of_1_6_1_or_those_of_2_2_0(old_program: dict[str, Any]) -> None:
    old_table, table = golden("probe_v1.json")["probe"], golden("probe_v2.json")["probe"]
    answers = old_program["probe"]
    # Where the two differ the base is 2.2.0, except for what 2.2.0 refuses to take from such a program.
    expected = {
        call: answers[call] if answers.get(call) in (answer, table.get(call)) else answer
        for call, answer in old_table.items()
    }
    found = complaints("old_probe", expected, answers)
    assert not found, report("old_probe", found)


def test_every_name_of_1_6_1_and_2_2_0_is_there(new_program: dict[str, Any]) -> None:
    modules = new_program["modules"]
    expected: dict[str, str] = {}
    answers: dict[str, str] = {}
    for version in ("v1", "v2"):
        for module, names in golden(f"probe_{version}.json")["modules"].items():
            for name, what in (names or {}).items():
                expected[f"{module}.{name}"] = _kind(what)
                answers[f"{module}.{name}"] = _kind((modules.get(module) or {}).get(name, "(absent)"))
    found = complaints("names", expected, answers)
    assert not found, report("names", found)


def test_every_member_of_client_takes_what_it_takes_in_2_2_0(new_program: dict[str, Any]) -> None:
    members = golden("probe_v2.json")["Client"]
    answers = {name: _parameters(new_program["Client"].get(name, "(absent)")) for name in members}
    found = complaints("client", {name: _parameters(what) for name, what in members.items()}, answers)
    old_members = golden("probe_v1.json")["Client"]
    absent = [name for name in old_members if name not in new_program["Client"]]
    assert not found, report("client", found)
    assert not absent, f"1.6.1 has them: {absent}"


@pytest.mark.parametrize("probe", ["value_probe.py", "helper_probe.py"])
def test_properties_codes_options_and_helpers_answer_as_2_2_0(probe: str) -> None:
    path = str(HERE / probe)
    expected, answers = read(run([genuine("2.2.0"), path])), read(run([*ours(), path]))
    section = probe.removesuffix(".py")
    found = complaints(section, expected, answers)
    assert not found, report(section, found)


def test_every_allowed_difference_has_its_reason() -> None:
    for section in ("probe", "old_probe", "names", "client", "value_probe", "helper_probe", "live", "suite"):
        allowed(section)


def _kind(what: str) -> str:
    """Functions by their parameters, constants by their value, as an enumeration's member is an int."""
    if what.startswith("def"):
        return "def" + _parameters(what[3:])
    return what if what.startswith(("int ", "'", "b'", "(absent)")) else "a name"


def _parameters(what: str) -> str:
    """A signature without its annotations, which are as strict as who wrote them."""
    if not what.startswith("("):
        return what
    # A default that is a member of an enumeration is shown as no expression.
    text = what.replace("<MQTTProtocolVersion.MQTTv311: 4>", "4")
    function = ast.parse(f"def f{text}: pass").body[0]
    assert isinstance(function, ast.FunctionDef)
    # That a native method's `self` has no name is nothing that a program can tell.
    function.args.args[:0] = function.args.posonlyargs
    function.args.posonlyargs = []
    for argument in [*function.args.args, *function.args.kwonlyargs, function.args.vararg, function.args.kwarg]:
        if argument is not None:
            argument.annotation = None
    return f"({ast.unparse(function.args)})"
