"""Runs paho-mqtt 2.2.0's own test suite against the installed karere-paho.

The suite is fetched, not kept here: it is paho-mqtt's, under its licence. What may fail stands with its reason in
`conformance/paho.toml`, [[suite]]; anything else that fails, and a listed test that passes, fails this run. The last
line says `N passed, N failed`.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from golden.differences import allowed  # noqa: E402

VERSION = "2.2.0"
SHA256 = "bcf706f03f1f49e0fc3ae166dc7b67ee35463496f8bdfd7c9c36181f6ba635c9"
# So many are in the suite, and so many must pass where the paho.mqtt.testing broker is not there.
TESTS, LEAST = 230, 188


def main() -> int:
    """Fetches, runs, compares; 0 if all is as it must be."""
    # The suite ends its clients by interrupts, which a shell has what it runs in the background ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = unpack(fetch(ROOT / "target/python-venv/sdist"), ROOT / "target/tmp/paho-suite")
    # Two at once: the tests wait more than they work. Each half has ports of its own.
    halves = [start(folder, "lib", ["tests/lib"]), start(folder, "rest", ["tests", "--ignore=tests/lib"])]
    outcomes: dict[str, str] = {}
    for process, record in halves:
        try:
            process.wait(300)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if record.exists():
            outcomes.update(json.loads(record.read_text()))
    return judge(outcomes, folder)


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """The sdist, from the index once and from the folder from then on."""
    file = folder / f"paho_mqtt-{VERSION}.tar.gz"
    if not file.exists():
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
        pip += ["--no-binary", ":all:", "--dest", str(folder), f"paho-mqtt=={VERSION}"]
        subprocess.run(pip, check=True)
    if hashlib.sha256(file.read_bytes()).hexdigest() != SHA256:
        sys.exit(f"{file} is not the sdist of paho-mqtt {VERSION}: remove it")
    return file


def unpack(file: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """The suite without the package that it came with, so that nothing but the installed one can be found."""
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(file) as archive:
        archive.extractall(folder)  # its hash is known
    top = folder / f"paho_mqtt-{VERSION}"
    shutil.rmtree(top / "src")
    return top


def start(folder: pathlib.Path, name: str, tests: list[str]) -> tuple[subprocess.Popen[bytes], pathlib.Path]:
    record = folder / f"{name}.json"
    environment = {**os.environ, "KARERE_RECORD": str(record), "PYTHONPATH": f"{HERE}{os.pathsep}{folder}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "recorder", "-p", "no:cacheprovider", "--tb=short"]
    command += ["--timeout=60", "--disable-warnings", "--continue-on-collection-errors", *tests]
    with open(folder / f"{name}.log", "w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return process, record


def judge(outcomes: dict[str, str], folder: pathlib.Path) -> int:
    """Prints what is not as listed; 0 if nothing is."""
    may_fail = {test for entry in allowed("suite") for test in entry["tests"]}
    for file in [name for name, outcome in outcomes.items() if outcome == "not collected"]:
        del outcomes[file]
        outcomes.update({test: "failed" for test in may_fail if test.startswith(file + "::")})
    passed = [test for test, outcome in outcomes.items() if outcome in ("passed", "xfailed")]
    failed = [test for test, outcome in outcomes.items() if outcome == "failed"]
    skipped = [test for test, outcome in outcomes.items() if outcome == "skipped"]
    wrong = [f"failed, and is not listed: {test}" for test in failed if test not in may_fail]
    wrong += [f"listed, but passes: {test}" for test in passed if test in may_fail]
    wrong += [f"listed, but there is no such test: {test}" for test in may_fail if test not in outcomes]
    wrong += [f"skipped: {test}" for test in skipped if "test_mqttv5.py" not in test]
    if len(outcomes) != TESTS:
        wrong.append(f"{len(outcomes)} tests ran, not {TESTS}")
    if len(passed) < LEAST:
        wrong.append(f"{len(passed)} tests passed, not {LEAST}")
    for log in sorted(folder.glob("*.log")) if wrong else []:
        print(f"==> {log.name}\n{log.read_text()[-6000:]}")
    print("\n".join(wrong))
    print(f"{len(passed)} of {len(outcomes)} pass, {len(may_fail)} may fail, {len(skipped)} need another broker")
    print(f"{len(passed)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
