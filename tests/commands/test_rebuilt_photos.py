"""A classifier of a folder of photos beside the project, rebuilt by `reproduce` and trained again by `repeat`."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, convzoo, copy_project, dvc, ran
from PIL import Image
from ruamel.yaml import YAML

from convzoo.commands import repeat
from convzoo.commands.profile import merged
from convzoo.commands.results import results
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.lineage.commits import git
from convzoo.portable import processor
from convzoo.settings.load import read_params
from convzoo.trials import trainings

NETWORK, KINDS = "pets-classifier", ("cats", "dogs")
RECORD = Path("docs/results/test", f"{NETWORK}.json")
MODEL = "models/pets-classifier"


def params() -> str:
    """params.yaml with one data set and one network, after those of MNIST in the profile test, as flow mappings."""
    text, _ = merged((ROOT / "params.yaml").read_text(), (ROOT / "profiles/test.yaml").read_text(), "test")
    values = YAML(typ="safe").load(text)
    limits = {"files": 999, "bytes": 9_000_000, "pixels": 9_000}
    photos = {"kind": "folder", "path": "../photos", "layout": "{class}/*", "licence": "ours", "limits": limits}
    pets = values["data"]["mnist"] | {"source": "my-photos"}
    pets["prepare"] |= {"classes": "source", "resize": "crop", "val_fraction": 0.2}
    pets["validate"] |= {"min_images": {"train": 20, "val": 5, "test": 5}, "min_class_share": 0.1}
    sections = {section: {NETWORK: values[section]["mnist-classifier"]} for section in ("networks", "export")}
    sections |= {"evaluation": {NETWORK: values["evaluation"]["mnist-classifier"] | {"top_k": 2}}}
    sections |= {"promotion": {}, "search": {}}
    sections["networks"][NETWORK] |= {"data": "pets", "batch_size": 16}
    sections["export"][NETWORK] |= {"parity_images": 8}
    sections |= {"sources": {"my-photos": photos}, "data": {"pets": pets}, "weights": {"none": {"kind": "none"}}}
    yaml = YAML(typ="safe")
    yaml.default_flow_style = True
    yaml.width = 1 << 20
    lines = [f"profile: test\ncompute: {values['compute']}\n".replace("'", "").replace("True", "true")]
    for section, blocks in sections.items():
        file = Path(f"{section}.yaml")
        yaml.dump({section: blocks}, file)
        lines.append(file.read_text().strip().removeprefix("{").removesuffix("}") + "\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def pets(tmp_path_factory) -> Path:
    """A project that registered the classifier, with uncommitted params; the photos have changed since."""
    folder = tmp_path_factory.mktemp("a folder")
    for number in range(60):
        file = folder / "photos" / KINDS[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 99, (40, 36), np.uint8)
        pixels[:: 3 + number % 2] += 120
        Image.fromarray(pixels).save(file)
    clone = copy_project(folder / "clone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (clone / "params.yaml").write_text(params())
    assert f"{NETWORK}: version 1 registered, alias candidate" in dvc(clone, "repro", f"register@{NETWORK}")
    (folder / "photos/cats/0.png").unlink()
    return clone


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of all files but those of git, DVC and MLflow, which a look at them may touch."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    left_out = {".dvc", ".git", "mlruns", "__pycache__"}
    return {str(file): sha256_of(file) for file in files if not left_out & {*file.relative_to(folder).parts}}


def test_a_version_is_rebuilt_byte_for_byte_from_the_photos_as_they_were(pets):
    before = digests(pets)
    output = convzoo(pets, "reproduce", f"{NETWORK}@candidate")
    assert "data/raw/pets: restored from DVC's cache as registered (md5 " in output
    assert "verdict: identical bytes" in output
    stages = ["check", "weights@none", "prepare@pets", "augment@pets", "validate"]
    assert sorted(ran(output)) == sorted([*stages, *(f"{verb}@{NETWORK}" for verb in ("train", "export", "evaluate"))])
    assert f"{NETWORK} epoch 1/" in output and "resuming" not in output, "it was trained from the start"
    assert digests(pets) == before, "the caller's files stay as they are"


def test_repeat_trains_as_the_stages_do_and_leaves_models_alone(pets, tmp_path):
    before = digests(pets / "models")
    output = convzoo(pets, "repeat", NETWORK, "--seeds", "1", "--out", str(tmp_path / "kept"))
    kept = tmp_path / "kept/seed-0"
    for name in ("weights.safetensors", "model.onnx"):
        assert sha256_of(kept / name) == before[str(pets / MODEL / name)], "params.yaml has the seed 0, too"
    assert (kept / "plots/confusion.png").is_file()
    assert re.search(r"^seed 0 .*train_peak_mb \d+ .*test_loss \d", output, re.M)
    assert digests(pets / "models") == before


def test_repeat_gives_each_seed_its_params_and_prints_mean_and_spread(pets, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(pets)
    monkeypatch.setattr(repeat, "STEPS", ())  # nothing is trained
    seeds = []

    def measured(file: Path) -> dict:
        if file.name == "meta.json":
            return read_json(file)
        if file.name == "fingerprint.json":
            return {"compute": {"precision": "fp32"}}
        seeds.append(YAML(typ="safe").load(file.parents[2] / "params.yaml")["networks"][NETWORK]["seed"])
        return {"test_accuracy": 0.5 + len(seeds) / 10, "classes": {}}

    monkeypatch.setattr(repeat, "read_json", measured)
    repeat.repeat(NETWORK, 3)
    output = capsys.readouterr().out
    assert seeds == [0, 1, 2] and not RECORD.parent.exists()
    assert "3 seed(s): mean +- sample standard deviation" in output
    assert "test_accuracy                0.7 +- 0.1 (0.6 to 0.8)" in output


@pytest.fixture
def measured(pets, monkeypatch):
    """The seeds that `repeat` measured; nothing is trained, and seed 9 fails."""
    monkeypatch.chdir(pets)
    seeds = []

    def row(folder, network, seed, steps) -> tuple[dict, str]:
        seeds.append(seed)
        (folder / "models" / network).mkdir(parents=True)
        if seed == 9:
            raise ConvzooError("seed 9: no memory")
        return {"seed": seed, "test_accuracy": 0.5, "train_petaflops": 0.25, "train_seconds": 7}, "fp32"

    monkeypatch.setattr(repeat, "_once", row)
    yield seeds
    shutil.rmtree(RECORD.parent, ignore_errors=True)


def test_recorded_results_can_be_measured_again_and_are_shown(measured):
    repeat.repeat(NETWORK, 2, recorded=True)
    record = json.loads(RECORD.read_text())
    assert record["settings"] == read_params().values["networks"][NETWORK]
    assert record["source"] == "my-photos"
    where = {"machine": repeat._machine(), "python": platform.python_version(), "jobs": 1}
    where |= {"commit": git("rev-parse", "HEAD"), "precision": "fp32"}
    assert all(row["measured"] == where for row in record["rows"])
    assert [row["seed"] for row in record["rows"]] == [0, 1] and record["rows"][1]["test_accuracy"] == 0.5
    assert f"| `{NETWORK}` | accuracy 50.00 % | 50.00 to 50.00 % | - | 0.25 | 7 s | 2 | " in results("test")


def test_recorded_seeds_of_the_same_training_are_not_trained_again(measured, pets, tmp_path, monkeypatch, capsys):
    with pytest.raises(ConvzooError, match="seed 9"):
        repeat.repeat(NETWORK, 10, recorded=True)
    assert measured == list(range(10))
    assert [row["seed"] for row in json.loads(RECORD.read_text())["rows"]] == list(range(9)), "kept, seed by seed"
    measured.clear()
    repeat.repeat(NETWORK, 4, recorded=True)
    assert measured == [] and f"{RECORD}: has the seeds 0, 1, 2, 3, 4, 5, 6, 7, 8 of" in capsys.readouterr().out
    repeat.repeat(NETWORK, 2, tmp_path / "kept", recorded=True)
    assert measured == [0, 1], "their files were asked for"

    def again(reason: str) -> None:
        measured.clear()
        repeat.repeat(NETWORK, 2, recorded=True)
        assert measured == [0, 1], reason

    text = Path("params.yaml").read_text()
    for before, after in (("label_smoothing: 0.1", "label_smoothing: 0.2"), ("views: identity", "views: mirror")):
        assert before in text
        Path("params.yaml").write_text(text.replace(before, after))
        again(f"{after} is another setting")
        Path("params.yaml").write_text(text)
        again(f"{before} is the old one again")
    RECORD.write_text("{")
    again("a damaged record")
    code = Path("data/code/export-classifier.json")
    before = code.read_text()
    code.write_text(before.replace("pipeline/export.py", "pipeline/other.py"))
    again("other code")
    code.write_text(before.replace('"torch": "', '"torch": "1'))
    again("another version of torch")
    code.write_text(before)


def test_seeds_of_a_record_may_come_from_several_machines(measured, monkeypatch, capsys):
    """And from several commits, as long as the stages run the same code."""
    repeat.repeat(NETWORK, 1, recorded=True)
    monkeypatch.setattr(repeat, "_machine", lambda: "another one")
    monkeypatch.setattr(repeat, "head", lambda: "1" * 40)
    capsys.readouterr()
    repeat.repeat(NETWORK, 2, recorded=True)
    assert measured == [0, 1]
    python = f"Python {platform.python_version()}"
    line = f"  on {processor()}, {os.cpu_count()} cores, {python}; another one, {python}; torch "
    assert line in capsys.readouterr().out
    first, second = (row["measured"] for row in json.loads(RECORD.read_text())["rows"])
    assert (second["machine"], second["commit"]) == ("another one", "1" * 40) and first["machine"] != "another one"
    limit = "of which a training used 1, fp32"
    assert f"| 7 s; 7 s | 1 + 1 | {first['machine']}, {limit}; another one, {limit} |" in results("test")


def test_seeds_run_side_by_side(pets, monkeypatch, capsys):
    monkeypatch.chdir(pets)
    together = threading.Barrier(2, timeout=60)

    def row(folder, network, seed, steps) -> tuple[dict, str]:
        together.wait()  # breaks, unless another seed gets here, too
        return {"seed": seed, "test_accuracy": seed / 4}, "fp32"

    monkeypatch.setattr(repeat, "_once", row)
    repeat.repeat(NETWORK, 4, jobs=2)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines[:4]) == [f"seed {seed}  test_accuracy {seed / 4:g}" for seed in range(4)]


def test_a_seed_that_fails_ends_those_beside_it(pets, tmp_path, monkeypatch):
    monkeypatch.chdir(pets)
    runs = tmp_path / "seed 0 runs"
    scripts = [f"touch '{runs}'; exec sleep 600", f"until [ -e '{runs}' ]; do sleep 0.1; done; echo no memory; exit 3"]
    Popen, started = subprocess.Popen, {}  # noqa: N806 (a class)

    def shell(command, cwd, **options) -> subprocess.Popen:
        seed = YAML(typ="safe").load(Path(cwd, "params.yaml"))["networks"][NETWORK]["seed"]
        started[seed] = Popen(["sh", "-c", scripts[seed]], cwd=cwd, **options)
        return started[seed]

    monkeypatch.setattr(trainings.subprocess, "Popen", shell)
    with pytest.raises(ConvzooError, match="seed 1: train failed:\nno memory"):
        repeat.repeat(NETWORK, 3, jobs=2)
    statuses = {seed: process.returncode for seed, process in started.items()}
    assert statuses == {0: -signal.SIGTERM, 1: 3}, "and seed 2 never started"


def test_repeat_names_what_is_in_its_way(pets, tmp_path, monkeypatch):
    monkeypatch.chdir(pets)
    (tmp_path / "file").write_text("")
    for folder, problem in ((tmp_path, "not an empty folder"), (tmp_path / "file/kept", "Not a directory")):
        with pytest.raises(ConvzooError, match=problem):
            repeat.repeat(NETWORK, 1, folder)
    with pytest.raises(ConvzooError, match=f"expected one of: {NETWORK}"):
        repeat.repeat("pets", 1)
    text = Path("params.yaml").read_text()
    monkeypatch.chdir(shutil.copytree(pets, tmp_path / "copy", ignore=shutil.ignore_patterns("mlruns", ".dvc")))
    Path("params.yaml").write_text(text.replace("my-photos", "others"))
    with pytest.raises(ConvzooError, match=r"is from my-photos, params\.yaml says others; run: convzoo repro validate"):
        repeat.repeat(NETWORK, 1)
