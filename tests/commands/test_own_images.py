"""The README's ten lines: a data set from a folder and a classifier on it, which is rebuilt and trained repeatedly."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, convzoo, dvc, ran
from PIL import Image

from convzoo.commands.repeat import repeat
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of

NETWORK = "pets-classifier"
KINDS = ("cats", "dogs", "fish")


def lines_of_the_readme() -> dict[str, list[str]]:
    """The lines that a user adds, by the section of params.yaml that they go under."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## Your own images.*?```yaml\n(.*?)```", text, re.S).group(1)
    parts = re.findall(r"^(\w+):\n((?: .*\n)+)", block, re.M)
    return {name: lines.splitlines() for name, lines in parts}


def photos(folder: Path) -> None:
    """Forty pictures a class, of several sizes, modes and formats: stripes across, stripes upright, a spot."""
    rng = np.random.default_rng(0)
    for number in range(40 * len(KINDS)):
        kind = number % len(KINDS)
        height, width = rng.integers(50, 90, 2)
        y, x = np.mgrid[:height, :width]
        wave = (np.sin(y / 3), np.sin(x / 3), (np.hypot(y - height / 2, x - width / 2) < 15) * 2.0 - 1)[kind]
        picture = 128 + 80 * wave[..., None] * rng.uniform(0.6, 1, 3) + rng.normal(0, 12, (height, width, 3))
        mode, suffix = (("RGB", "jpg"), ("L", "png"), ("P", "gif"), ("RGBA", "webp"))[number // len(KINDS) % 4]
        file = folder / KINDS[kind] / f"{number:03d}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).convert(mode).save(file)


def digests(folder: Path) -> dict[str, str]:
    """The sha256 of all files but those of git, DVC and MLflow, which a look at them may touch."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    left_out = {".dvc", ".git", "mlruns", "__pycache__"}
    return {str(file): sha256_of(file) for file in files if not left_out & {*file.relative_to(folder).parts}}


@pytest.fixture(scope="module")
def pets(rebuilt, tmp_path_factory) -> Path:
    """A clone of the rebuilt project with the README's lines, beside its photos; nothing has run yet."""
    folder = tmp_path_factory.mktemp("pets")
    clone = Path(shutil.copytree(rebuilt.folder, folder / "clone", symlinks=True))
    photos(folder / "photos")
    text = (clone / "params.yaml").read_text()
    for name, added in lines_of_the_readme().items():
        text = text.replace(f"\n{name}:\n", f"\n{name}:\n" + "\n".join(added) + "\n", 1)
    (clone / "params.yaml").write_text(text.replace("epochs: 20", "epochs: 5"))
    return clone


@pytest.fixture(scope="module")
def printed(pets) -> str:
    """What `dvc repro` printed while it registered the classifier."""
    return dvc(pets, "repro", f"register@{NETWORK}")


def test_ten_lines_make_a_data_set_and_a_classifier_and_nothing_else_runs(pets, printed):
    assert sum(map(len, lines_of_the_readme().values())) == 10
    expected = [f"{verb}@pets" for verb in ("download", "prepare", "augment")]
    expected += [f"{verb}@{NETWORK}" for verb in ("train", "export", "evaluate", "register")]
    assert sorted(ran(printed)) == sorted(["check", "validate", *expected])
    assert f"{NETWORK}: version 1 registered, alias candidate" in printed

    meta = json.loads((pets / "data/prepared/pets/meta.json").read_text())
    assert meta["classes"] == list(KINDS)
    assert meta["counts"]["read"] == 120
    metrics = json.loads((pets / f"models/{NETWORK}/metrics.json").read_text())
    assert metrics["test_images"] == 24
    assert metrics["test_accuracy"] > 0.7, "three kinds of stripes"


def test_a_version_is_rebuilt_byte_for_byte_from_the_photos_as_they_were(pets, printed):
    photo = next((pets.parent / "photos/cats").iterdir())
    photo.rename(pets.parent / photo.name)
    before = digests(pets)
    output = convzoo(pets, "reproduce", f"{NETWORK}@candidate")
    photo.parent.parent.parent.joinpath(photo.name).rename(photo)
    assert "data/raw/pets: restored from DVC's cache as registered (md5 " in output
    assert "verdict: identical bytes" in output
    stages = ["check", "weights@none", "prepare@pets", "augment@pets", "validate"]
    assert sorted(ran(output)) == sorted([*stages, *(f"{verb}@{NETWORK}" for verb in ("train", "export", "evaluate"))])
    assert f"{NETWORK} epoch 1/" in output and "resuming" not in output, "it was trained from the start"
    assert digests(pets) == before, "the caller's files stay as they are"


def test_repeat_prints_mean_and_spread_and_leaves_models_alone(pets, printed, tmp_path):
    before = digests(pets / "models")
    output = convzoo(pets, "repeat", NETWORK, "--seeds", "2", "--out", str(tmp_path / "kept"))
    lines = [line for line in output.splitlines() if line.startswith("seed ")]
    for seed, line in enumerate(lines):
        kept = tmp_path / f"kept/seed-{seed}"
        assert f"test_loss {read_json(kept / 'metrics.json')['test_loss']:g}" in line
        assert (kept / "plots/confusion.png").is_file()
    weights = [sha256_of(tmp_path / f"kept/seed-{seed}/weights.safetensors") for seed in (0, 1)]
    assert weights[0] == before[str(pets / f"models/{NETWORK}/weights.safetensors")], "params.yaml has the seed 0"
    assert weights[1] != weights[0]
    assert re.search(r"test_accuracy\s+\d\S* \+- \d", output) and "train_peak_mb" in output
    assert "2 seed(s): mean +- sample standard deviation" in output
    assert digests(pets / "models") == before


def test_repeat_names_what_is_in_its_way(pets, printed, tmp_path, monkeypatch):
    monkeypatch.chdir(pets)
    (tmp_path / "file").write_text("")
    for folder, problem in ((tmp_path, "not an empty folder"), (tmp_path / "file/kept", "Not a directory")):
        with pytest.raises(ConvzooError, match=problem):
            repeat(NETWORK, 1, folder)
    with pytest.raises(ConvzooError, match=f"expected one of: .*{NETWORK}"):
        repeat("pets", 1)
    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("pets: {source: my-photos", "pets: {source: mnist-package"))
    try:
        with pytest.raises(ConvzooError, match=r"is from my-photos, params\.yaml says mnist-package; run: dvc"):
            repeat(NETWORK, 1)
    finally:
        Path("params.yaml").write_text(params)
