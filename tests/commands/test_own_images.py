"""The README's ten lines: a data set from a folder and a classifier on it, and nothing anywhere else."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
from helpers.project import ROOT, convzoo, dvc
from PIL import Image

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


def test_ten_lines_make_a_data_set_and_a_classifier_and_nothing_else_runs(rebuilt, tmp_path):
    clone = Path(shutil.copytree(rebuilt.folder, tmp_path / "clone", symlinks=True))
    photos(tmp_path / "photos")
    sections = lines_of_the_readme()
    assert sum(map(len, sections.values())) == 10
    text = (clone / "params.yaml").read_text()
    for name, added in sections.items():
        text = text.replace(f"\n{name}:\n", f"\n{name}:\n" + "\n".join(added) + "\n", 1)
    (clone / "params.yaml").write_text(text)
    convzoo(clone, "check")

    told = dvc(clone, "repro", "register@pets-classifier")
    ran = re.findall(r"Running stage '([^']+)'", told)
    mine = [f"{verb}@pets" for verb in ("download", "prepare", "augment")]
    mine += [f"{verb}@pets-classifier" for verb in ("train", "export", "evaluate", "register")]
    assert sorted(ran) == sorted(["check", "validate", *mine])
    assert "pets-classifier: version 1 registered, alias candidate" in told

    meta = json.loads((clone / "data/prepared/pets/meta.json").read_text())
    assert meta["classes"] == list(KINDS)
    assert meta["counts"]["read"] == 120
    metrics = json.loads((clone / "models/pets-classifier/metrics.json").read_text())
    assert metrics["test_images"] == 24
    assert metrics["test_accuracy"] > 0.7, "three kinds of stripes"
