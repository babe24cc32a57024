"""What `make setup` does without a download: it says what is missing, and puts a moved environment right."""

import runpy
import subprocess
import sys

import pytest
from helpers.project import ROOT

ENVIRONMENT = str(ROOT / ".ci/environment.py")
OLD = "/somewhere/else"


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """The script's functions, working on a clone in a folder with a space; what pip would have done is listed."""
    found = runpy.run_path(ENVIRONMENT)
    state = found["main"].__globals__
    clone = tmp_path / "a clone"
    (clone / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    calls = []
    created = []
    state |= {
        "ROOT": clone,
        "VENV": clone / ".venv",
        "SCRIPTS": clone / ".venv/bin",
        "STAMP": clone / ".venv/convzoo-environment",
        "make_venv": lambda *options: created.append(options),
        "pip": lambda *arguments: calls.append(arguments),
    }
    monkeypatch.setattr(sys, "argv", [ENVIRONMENT])
    return state, calls, created


def test_a_first_setup_installs_the_tested_versions_and_a_second_does_nothing(environment):
    state, calls, created = environment
    state["main"]()
    assert created == [("--clear",)]
    assert all("constraints.txt" in arguments for arguments in calls)
    assert calls[-1][-2:] == ("-e", ".[dev]")
    calls.clear()
    state["main"]()
    assert calls == []


def test_an_environment_made_by_hand_is_kept(environment):
    state, calls, created = environment
    (state["SCRIPTS"] / "python").symlink_to(sys.executable)
    state["main"]()
    assert created == []
    assert calls[-1][-2:] == ("-e", ".[dev]")


def test_changed_requirements_are_installed(environment):
    state, calls, created = environment
    state["main"]()
    (state["SCRIPTS"] / "python").symlink_to(sys.executable)
    calls.clear()
    created.clear()
    with (state["ROOT"] / "constraints.txt").open("a") as stream:
        stream.write("# changed\n")
    state["main"]()
    assert calls[-1][-2:] == ("-e", ".[dev]")
    assert created == [], "the environment that is there is kept"


def test_a_moved_clone_is_put_right_without_a_download(environment):
    state, calls, _ = environment
    state["main"]()
    needed, here = state["STAMP"].read_text().splitlines()
    state["STAMP"].write_text(f"{needed}\n{OLD}\n")
    scripts = state["SCRIPTS"]
    (scripts / "activate").write_text(f'VIRTUAL_ENV="{OLD}/.venv"\n')
    (scripts / "plain").write_text(f"#!{OLD}/.venv/bin/python3\nprint('ran')\n")
    spaced = f"#!/bin/sh\n'''exec' \"{OLD}/.venv/bin/python3\" \"$0\" \"$@\"\n' '''\nprint('ran')\n"
    (scripts / "spaced").write_text(spaced)
    (scripts / "binary").write_bytes(b"\x7fELF" + OLD.encode())
    (scripts / "python").symlink_to(sys.executable)
    calls.clear()
    state["main"]()
    assert [("--no-index" in arguments) for arguments in calls] == [True]
    for name in ("plain", "spaced"):
        (scripts / name).chmod(0o755)
        done = subprocess.run([str(scripts / name)], capture_output=True, text=True, check=True)
        assert done.stdout == "ran\n", name
    assert (scripts / "activate").read_text() == f'VIRTUAL_ENV="{state["ROOT"]}/.venv"\n'
    assert (scripts / "binary").read_bytes() == b"\x7fELF" + OLD.encode()
    assert state["STAMP"].read_text().splitlines() == [needed, here]


def test_another_index_for_torch_is_not_ignored_where_the_environment_is_there(environment, monkeypatch):
    state, calls, _ = environment
    monkeypatch.setattr(sys, "argv", [ENVIRONMENT, "--torch-index", "https://example.org/cpu"])
    state["main"]()
    assert "--no-deps" in calls[0] and "https://example.org/cpu" in calls[0]
    with pytest.raises(SystemExit, match=r"rm -rf \.venv"):
        state["main"]()


@pytest.mark.parametrize(
    ("python", "expected"),
    [("no-such-python", "is missing: install Python 3.11 or newer"), ("false", "is too old: install Python 3.11")],
)
def test_a_machine_that_lacks_python_gets_one_line(python, expected):
    done = subprocess.run(["make", "-s", "setup", f"PYTHON={python}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert expected in line
