"""Two clones that share a DVC remote and an MLflow server, over real connections: make test-services."""

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.clones import false_promotions, ledger_of
from helpers.project import ROOT, commit, environment, git, ran
from helpers.promotions import aliases, write_params
from helpers.served import get, server, wait_until
from helpers.services import ADMIN, BUCKET, USER, Services
from helpers.shared_server import Connection, copy_of, new_clone

from convzoo.tracking import store

pytestmark = pytest.mark.services
NETWORK = "shapes-classifier"
TRIES = int(os.environ.get("CONVZOO_TRIES", "100"))
SIZE = 20_000_000  # bytes of a file that no compression makes smaller
CODE = str(ROOT / "src") + os.pathsep + str(ROOT / "tests")
# A pipeline of one stage, whose outputs are what the stages of a network write.
PIPELINE = """\
stages:
  train:
    cmd: python make.py
    deps: [make.py]
    outs: [data/prepared, data/validated, models, large]
"""
MAKE = f"""\
import shutil
from pathlib import Path
import numpy as np
from helpers.promotions import version, write_data
write_data()
about = {{"network": "{NETWORK}", "family": "classifier", "classes": ["a", "b", "c"], "resize": "none"}}
print("made version", version("{NETWORK}", "good", about=about))
Path("large").mkdir()
for number in range(4):
    Path(f"large/{{number}}").write_bytes(np.random.default_rng(number).bytes({SIZE} // 4))
"""


def login(services: Services, address: str | None = None) -> dict[str, str]:
    return {
        "MLFLOW_TRACKING_URI": address or services.mlflow,
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": services.password,
    }


def run(clone: Path, *command: str, expected: int | None = 0, **more: str) -> str:
    """Run a module's command in a clone; what it printed. `expected` is None for any failure."""
    variables = environment(**({"PYTHONPATH": CODE, "DVC_NO_ANALYTICS": "1"} | more))
    done = subprocess.run(
        ["python", "-m", *command], cwd=clone, env=variables, capture_output=True, text=True, timeout=900
    )
    printed = done.stdout + done.stderr
    assert done.returncode == expected if expected is not None else done.returncode != 0, printed
    return printed


def remote_of(kind: str, services: Services, port: int) -> tuple[str, dict[str, str]]:
    """The address of a DVC remote through a port on this machine, and its other settings."""
    if kind == "s3":
        settings = {"endpointurl": f"http://127.0.0.1:{port}", "access_key_id": USER, "secret_access_key": USER}
        return f"s3://{BUCKET}/dvc", settings | {"region": "us-east-1"}
    parts = urlsplit(services.ssh)
    return f"ssh://{parts.username}@127.0.0.1:{port}{parts.path}", {"keyfile": str(services.key)}


def add_remote(clone: Path, kind: str, services: Services, port: int) -> None:
    address, settings = remote_of(kind, services, port)
    run(clone, "dvc", "remote", "add", "--local", "-f", "-d", kind, address)
    for key, value in settings.items():
        run(clone, "dvc", "remote", "modify", "--local", kind, key, value)


def port_of(address: str) -> int:
    return urlsplit(address).port


def content_of(clone: Path) -> dict[str, str]:
    """The sha256 of each output of the pipeline."""
    files = [file for name in ("data", "models", "large") for file in (clone / name).rglob("*") if file.is_file()]
    return {str(file.relative_to(clone)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def made(running: Services, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose pipeline ran and registered its network, all committed."""
    clone = tmp_path_factory.mktemp("made") / "clone"
    clone.mkdir()
    (clone / "src/convzoo").mkdir(parents=True)
    (clone / "src/convzoo/here").touch()  # git keeps no empty folder
    (clone / "dvc.yaml").write_text(PIPELINE)
    (clone / "make.py").write_text(MAKE)
    (clone / ".gitignore").write_text("/mlruns/\n")
    with chdir(clone):
        write_params(NETWORK)
    git(clone, "init", "-q", "-b", "main")
    run(clone, "dvc", "init", "-q")
    assert ran(run(clone, "dvc", "repro", **login(running))) == ["train"]
    commit(clone, "made")
    return clone


def clone_of(made: Path, folder: Path) -> Path:
    git(made, "clone", "-q", str(made), str(folder))
    return folder


@pytest.fixture
def as_admin(running: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in login(running).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def connection(running: Services) -> Iterator[Connection]:
    """A connection to the MLflow server that can be cut."""
    with Connection(port_of(running.mlflow)) as to_server:
        yield to_server


@pytest.mark.parametrize("kind", ["s3", "ssh"])
def test_what_one_clone_pushes_another_pulls_and_repro_runs_nothing(made, running, tmp_path, kind):
    with Connection(port_of(getattr(running, kind))) as to_remote:
        add_remote(made, kind, running, to_remote.port)
        # The connection breaks in the middle of the push, and again in the middle of the pull.
        to_remote.restore(cut_after=SIZE // 2)
        failure = run(made, "dvc", "push", expected=None)
        assert to_remote.is_cut and "Traceback" not in failure
        to_remote.restore()
        started = time.monotonic()
        run(made, "dvc", "push")
        pushed = time.monotonic() - started
        assert "Everything is up to date" in run(made, "dvc", "push")

        second = clone_of(made, tmp_path / "second")
        add_remote(second, kind, running, to_remote.port)
        to_remote.restore(cut_after=SIZE // 2)
        run(second, "dvc", "pull", expected=None)
        assert to_remote.is_cut and content_of(second) != content_of(made)
        to_remote.restore()
        started = time.monotonic()
        run(second, "dvc", "pull")
        pulled = time.monotonic() - started
    assert content_of(second) == content_of(made)
    assert ran(run(second, "dvc", "repro", **login(running))) == []
    print(f"{kind}: after a cut, the rest of {SIZE / 1e6:.0f} MB: pushed in {pushed:.1f} s, pulled in {pulled:.1f} s")

    third = clone_of(made, tmp_path / "third")
    add_remote(third, kind, running, port_of(getattr(running, kind)))
    started = time.monotonic()
    run(third, "dvc", "pull")
    print(f"{kind}: pulled {SIZE / 1e6:.0f} MB in {time.monotonic() - started:.1f} s")
    assert content_of(third) == content_of(made)


def test_a_wrong_login_is_refused_with_what_to_do(made, running, tmp_path):
    wrong = login(running) | {"MLFLOW_TRACKING_PASSWORD": "wrong"}
    for command in (["sync", NETWORK], ["promote", NETWORK], ["models"]):
        printed = run(made, "convzoo", *command, expected=1, **wrong)
        assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in printed and "Traceback" not in printed
    address, _ = remote_of("ssh", running, port_of(running.ssh))
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    run(made, "dvc", "remote", "add", "--local", "-f", "other", address)
    run(made, "dvc", "remote", "modify", "--local", "other", "keyfile", str(key))
    assert "Permission denied" in run(made, "dvc", "push", "-r", "other", expected=None)


def test_sync_promote_and_serve_work_from_both_clones_and_outlive_a_lost_connection(
    made, running, tmp_path, as_admin, connection
):
    second = tmp_path / "second"
    subprocess.run(["cp", "-a", str(made), str(second)], check=True)
    through = login(running, f"http://127.0.0.1:{connection.port}")

    connection.restore(cut_after=5000)
    printed = run(second, "convzoo", "sync", NETWORK, expected=1, **through)
    assert connection.is_cut and "run: convzoo sync" in printed and "Traceback" not in printed
    connection.restore()
    expected = f"{NETWORK}: already registered as version 1, alias candidate"
    assert expected in run(second, "convzoo", "sync", NETWORK, **through)
    assert expected in run(made, "convzoo", "sync", NETWORK, **login(running))

    connection.restore(cut_after=12000)
    printed = run(second, "convzoo", "promote", NETWORK, expected=1, **through)
    assert connection.is_cut and "run the same command again" in printed and "Traceback" not in printed
    connection.restore()
    run(second, "convzoo", "promote", NETWORK, **through)
    assert aliases(NETWORK)["champion"] == 1
    assert "version 1 is already the champion" in run(made, "convzoo", "promote", NETWORK, **login(running))
    assert ledger_of(second)[-1]["what"] == "promoted"

    # Another version, registered by the first clone; the second serves, and hears of the promotion after a cut.
    about = {"network": NETWORK, "family": "classifier", "classes": ["a", "b", "c"], "resize": "none"}
    code = f"from helpers.promotions import version; print(version({NETWORK!r}, 'best', about={about}))"
    (made / "better.py").write_text(code)
    with server(second, PYTHONPATH=CODE, **through) as (address, process, _):
        wait_until(lambda: get(f"{address}/readyz")["serving"] == {NETWORK: 1}, 120)
        connection.cut()
        wait_until(lambda: get(f"{address}/readyz")["problems"], 120)
        done = subprocess.run(["python", "better.py"], cwd=made, env=environment(PYTHONPATH=CODE), check=True)
        assert done.returncode == 0
        run(made, "convzoo", "promote", NETWORK, **login(running))
        assert get(f"{address}/readyz")["serving"] == {NETWORK: 1}, "it continues to answer"
        connection.restore()
        wait_until(lambda: get(f"{address}/readyz")["serving"] == {NETWORK: 2}, 120)
        assert process.poll() is None
    with server(made, PYTHONPATH=CODE, **login(running)) as (address, *_):
        wait_until(lambda: get(f"{address}/readyz")["serving"] == {NETWORK: 2}, 120)


def test_two_clones_that_promote_at_once_never_both_win(running, tmp_path, as_admin):
    network = "contested"
    first = new_clone(tmp_path / "first", network)
    with chdir(first):
        write_params(network, rule="not_worse_by", not_worse_by=0.9)
    clones = [first, copy_of(first, tmp_path / "second")]
    wrong = false_promotions(clones, network, TRIES, **login(running))
    print(f"false promotions in {TRIES} tries: {len(wrong)}")
    assert wrong == []
    won = [line for clone in clones for line in ledger_of(clone)]
    assert len(won) == TRIES and sorted(line["looks_at_test"] for line in won)[-1] == 2 * TRIES
    tags = store.use_store().get_registered_model(network).tags
    assert not [tag for tag in tags if tag.startswith("convzoo.lock.")]
