"""Two clones on one tracking database, which register in the same moment."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from convzoo.files import sha256_of
from convzoo.tracking import runs, store
from convzoo.tracking.versions import find_model

REGISTER = """
import sys, time
from pathlib import Path
from convzoo.tracking.registry import register
Path("ready").touch()
while not Path("../go").exists():
    time.sleep(0.001)
for network in sys.argv[1:]:
    print(register(network))
"""
SHARED = [f"shared-{number}" for number in range(2)]


def test_all_their_versions_are_there_and_none_twice(clone, tmp_path, monkeypatch, write_network):
    store.open_store()
    (tmp_path / "store").mkdir()
    shutil.copy(clone / "mlruns/mlflow.db", tmp_path / "store/mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store/mlflow.db")
    both = []
    for seed, name in enumerate(("first", "second"), 1):
        (tmp_path / name).mkdir()
        shutil.copy(clone / "params.yaml", tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        for network in SHARED:
            write_network(network, 7)
        write_network("contested", seed)
        write_network(name, seed)
        command = [sys.executable, "-c", REGISTER, *SHARED, "contested", name]
        environment = os.environ | {"PYTHONPATH": str(Path(store.__file__).parents[2])}
        both.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    while not all((tmp_path / name / "ready").exists() for name in ("first", "second")):
        assert not any(process.poll() for process in both)
    (tmp_path / "go").touch()
    told = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told

    client = store.open_store()
    found = {
        name: client.search_model_versions(f"name = '{name}'") for name in (*SHARED, "contested", "first", "second")
    }
    counts = {name: len(versions) for name, versions in found.items()}
    assert counts == dict.fromkeys(SHARED, 1) | {"contested": 2, "first": 1, "second": 1}
    for network in SHARED:
        assert sorted(line for lines in told for line in lines.splitlines() if line.startswith(network)) == [
            f"{network}: already registered as version 1, alias candidate",
            f"{network}: version 1 registered, alias candidate",
        ]
        assert len(client.search_runs([runs.experiment_of(client, network)])) == 1
    sha256 = {sha256_of(tmp_path / name / "models/contested/model.onnx") for name in ("first", "second")}
    assert {version.tags["convzoo.model_sha256"] for version in found["contested"]} == sha256
    assert len(sha256) == 2
    for name, versions in found.items():
        newest = max(int(version.version) for version in versions)
        assert int(client.get_model_version_by_alias(name, "candidate").version) == newest
        assert sha256_of(find_model(f"{name}@candidate").file) in {
            version.tags["convzoo.model_sha256"] for version in versions if int(version.version) == newest
        }
