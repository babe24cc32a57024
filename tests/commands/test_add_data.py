"""`convzoo add-data`: a folder of images becomes a data set and a classifier, and nothing else runs again."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from helpers.markdown import commands
from helpers.project import ROOT
from PIL import Image
from typer.testing import CliRunner

from convzoo.cli import app
from convzoo.errors import ConvzooError
from convzoo.settings.blocks import with_blocks
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all

KINDS = ("cats", "dogs", "fish")
SECTIONS = ("networks", "export", "evaluation", "promotion")
ADDED = ("sources.pets-folder", "data.pets", *(f"{section}.pets-classifier" for section in SECTIONS))


def photos(folder: Path, images: int = 40) -> None:
    """So many images per class, of several sizes, modes and formats: stripes across, stripes upright, a spot."""
    rng = np.random.default_rng(0)
    for number in range(images * len(KINDS)):
        kind = number % len(KINDS)
        height, width = rng.integers(50, 90, 2)
        y, x = np.mgrid[:height, :width]
        wave = (np.sin(y / 3), np.sin(x / 3), (np.hypot(y - height / 2, x - width / 2) < 15) * 2.0 - 1)[kind]
        picture = 128 + 80 * wave[..., None] * rng.uniform(0.6, 1, 3) + rng.normal(0, 12, (height, width, 3))
        mode, suffix = (("RGB", "jpg"), ("L", "png"), ("P", "gif"), ("RGBA", "webp"))[number // len(KINDS) % 4]
        file = folder / KINDS[kind] / f"{number:03d}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).convert(mode).save(file)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with params.yaml and the template, beside a folder of photos, 20 of each class."""
    folder = tmp_path / "project"
    (folder / "profiles").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "profiles/templates", folder / "profiles/templates")
    (folder / "src").symlink_to(ROOT / "src")
    photos(tmp_path / "Our Pets", 20)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.chdir(folder)
    return folder


def add_data(*arguments: str) -> str:
    """What the command printed, which must have worked."""
    result = CliRunner().invoke(app, ["add-data", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def error_of(*arguments: str) -> str:
    """What the command printed when it refused, and left params.yaml as it was."""
    before = Path("params.yaml").read_bytes()
    result = CliRunner().invoke(app, ["add-data", *arguments])
    assert result.exit_code == 1 and result.stdout == ""
    assert Path("params.yaml").read_bytes() == before
    assert [file.name for file in Path().glob(".*.new")] == []
    return result.stderr


def test_blocks_are_added_below_their_sections_and_all_else_stays(project):
    before = Path("params.yaml").read_text().splitlines()
    assert add_data("../Our Pets", "--name", "pets").splitlines() == [
        "../Our Pets: 60 images in 3 classes: cats 20, dogs 20, fish 20",
        "splits: train 48, val 6, test 6",
        f"added to params.yaml: {', '.join(ADDED)}",
        "next: convzoo repro register@pets-classifier",
    ]
    after = Path("params.yaml").read_text().splitlines()
    lines = iter(after)
    assert all(line in lines for line in before), "every line is still there, in the same order"
    added = Path("params.yaml").read_text().partition("  pets-folder:")[2].partition("\n\n# Published weights")
    assert added[1], "the section's comment is still above it"
    assert "{" not in added[0].replace("{class}", ""), "block style, like the rest of the file"
    before = Path("params.yaml").read_text().splitlines()
    apply_overrides(Path("params.yaml"), ["networks.pets-classifier.epochs=3"])  # as `dvc exp run --set-param` does
    lines = zip(before, Path("params.yaml").read_text().splitlines(), strict=True)
    assert [new for old, new in lines if old != new] == ["    epochs: 3"]
    check_all(read_params())
    values = read_params().values
    assert values["sources"]["pets-folder"]["path"] == "../Our Pets"
    for name in ADDED:
        section, key = name.split(".")
        assert list(values[section])[-1] == key


def test_the_limits_follow_from_what_is_there(project):
    for number in range(30, 45):
        shutil.copy("../Our Pets/cats/000.jpg", f"../Our Pets/cats/copy-{number}.jpg")
        Image.new("RGB", (60, 60), (number, 0, 0)).save(f"../Our Pets/dogs/{number}.png")
    output = add_data("../Our Pets", "--name", "pets")
    assert "75 images in 3 classes: cats 20, dogs 35, fish 20\n" in output
    assert "left out 15 copies: cats/copy-30.jpg, " in output
    validate = read_params().values["data"]["pets"]["validate"]
    # Nine tenths of the images that the hashes leave in each split.
    assert validate["min_images"] == {"train": 51, "val": 6, "test": 9}
    # Half of the share of the rarest class, in the split where it is the rarest.
    assert 0.2 <= validate["min_class_share"] <= 0.4
    limits = read_params().values["sources"]["pets-folder"]["limits"]
    assert limits == {"files": 100_000, "bytes": 10_000_000_000, "pixels": 80_000_000}


def test_the_name_comes_from_the_folder(project):
    assert "data.our-pets, " in add_data("../Our Pets/")
    assert read_params().values["networks"]["our-pets-classifier"]["data"] == "our-pets"


def test_a_name_that_is_in_use_or_not_valid_is_refused(project):
    assert error_of("../Our Pets", "--name", "mnist") == (
        "error: data.mnist: is in params.yaml already; choose another name with --name\n"
    )
    expected = "expected small letters, digits and hyphens"
    for name, remedy in {"Our Pets": "try our-pets", "Süße_Tiere!": "try susse-tiere", "猫": "choose another"}.items():
        assert error_of("../Our Pets", "--name", name) == f"error: --name: got '{name}', {expected}; {remedy}\n"
    Path("../猫").mkdir()
    assert error_of("../猫") == (
        f"error: ../猫: its name cannot be that of a data set, {expected}; give one with --name\n"
    )


def unreadable(pets: Path) -> None:
    (pets / "cats/broken.jpg").write_bytes((pets / "cats/000.jpg").read_bytes()[:300])
    (pets / "dogs/empty.png").touch()


def in_two_classes(pets: Path) -> None:
    shutil.copy(pets / "cats/000.jpg", pets / "fish/a.jpg")


def no_images_of_a_class(pets: Path) -> None:
    (pets / "birds").mkdir()
    (pets / "birds/1.heic").touch()


def images_one_level_lower(pets: Path) -> None:
    (pets / "birds/2024").mkdir(parents=True)
    shutil.copy(pets / "cats/000.jpg", pets / "birds/2024/1.jpg")


def too_few(pets: Path) -> None:
    Image.new("RGB", (60, 60), "red").save(pets / "a.png")
    (pets / "birds").mkdir()
    shutil.move(pets / "a.png", pets / "birds")


def a_single_class(pets: Path) -> None:
    shutil.rmtree(pets / "dogs")
    shutil.rmtree(pets / "fish")


def no_classes(pets: Path) -> None:
    for kind in KINDS:
        for file in (pets / kind).iterdir():
            file.rename(pets / file.name)
        (pets / kind).rmdir()


def too_large(pets: Path) -> None:
    Image.new("1", (10_000, 8_200)).save(pets / "cats/large.png")


def not_there(pets: Path) -> None:
    shutil.rmtree(pets)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (unreadable, "2 of 62 images cannot be read: cats/broken.jpg ("),
        (unreadable, "dogs/empty.png (is empty); replace or remove them, or leave them out with --drop-unreadable\n"),
        (in_two_classes, "1 images are in more than one class: cats/000.jpg and fish/a.jpg; keep each in one class\n"),
        (no_images_of_a_class, "no image is directly in birds, expected one at least in each class folder; "),
        (images_one_level_lower, "no image is directly in birds, expected one at least in each class folder; "),
        (too_few, "too few images of birds (1): none would be left for val, expected one at least of every class"),
        (a_single_class, "has a single class (cats), expected two or more; is the folder one level too high or"),
        (no_classes, "has no images in folders, expected one folder per class, as in ../Our Pets/cats/1.jpg; "),
        (too_large, "/cats/large.png: is 10000 wide and 8200 high, more than the allowed 80000000 pixels; make it sm"),
        (not_there, "../Our Pets: does not exist, expected a folder that has a folder of images for each class\n"),
    ],
)
def test_a_folder_that_the_pipeline_would_refuse_is_refused_first(project, spoil, message):
    spoil(Path("../Our Pets"))
    error = error_of("../Our Pets", "--name", "pets")
    assert error.startswith("error: ") and message in error


def test_unreadable_and_other_files_are_left_out_on_request_and_named(project):
    unreadable(Path("../Our Pets"))
    Path("../Our Pets/notes.txt").touch()
    Image.new("RGB", (60, 60), "red").save("../Our Pets/a.png")
    nested = Path("../Our Pets/cats/2024/1.png")
    nested.parent.mkdir()
    Image.new("RGB", (60, 60), "blue").save(nested)
    lines = add_data("../Our Pets", "--name", "pets", "--drop-unreadable").splitlines()
    assert lines[0].startswith("../Our Pets: 60 images in 3 classes")
    assert lines[2].startswith("left out 2 images that cannot be read: cats/broken.jpg (")
    assert lines[3] == "left out 2 images that are not directly in a class folder: a.png, cats/2024/1.png"
    assert lines[4] == "left out 1 other file (1 .txt): notes.txt"
    assert read_params().values["data"]["pets"]["prepare"]["unreadable"] == "drop"


def test_a_class_of_which_nothing_can_be_read_is_named(project):
    for broken in (("fish",), KINDS):
        for kind in broken:
            for file in Path("../Our Pets", kind).iterdir():
                file.write_bytes(b"no image")
        said = error_of("../Our Pets", "--name", "pets", "--drop-unreadable")
        assert f"too few images of {', '.join(f'{kind} (0)' for kind in broken)}" in said


def test_windows_line_ends_and_a_missing_last_one_are_kept(project):
    Path("params.yaml").write_text(Path("params.yaml").read_text().rstrip("\n"), newline="\r\n")
    add_data("../Our Pets", "--name", "pets")
    text = Path("params.yaml").read_bytes()
    assert text.count(b"\r\n") == text.count(b"\n") and b"\r\n  pets:\r\n" in text
    check_all(read_params())


@pytest.mark.parametrize("last", ["a: 1", "a:", "a:\n    - 1\n    - - 2", "a: {b: 1}"])
def test_a_block_follows_any_last_value_and_its_comment(last):
    params = f"data:\n  old:\n    {last}   # about a\n# about networks\nnetworks:\n  x: 1\n"
    expected = params.replace("# about networks", "  new:\n    b: 2   # c\n# about networks")
    assert with_blocks(params, "# head\ndata:\n  new:\n    b: 2   # c\n") == expected


def test_a_section_without_blocks_is_named():
    with pytest.raises(
        ConvzooError, match=r"params\.yaml: data: expected a section with a block in it; restore it: git"
    ):
        with_blocks("data: {}\n", "data:\n  new:\n    b: 2\n")


def run_stage(stage: str, *arguments: str) -> None:
    """Run an entry of pipeline/ in this process, which has imported its libraries already."""
    sys.argv = [f"pipeline/{stage}.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def test_a_folder_becomes_a_data_set_and_a_registered_classifier_and_no_other_network_runs(
    clone, tmp_path, monkeypatch, capsys
):
    photos(tmp_path / "photos")
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "argv", sys.argv)
    for name in ("DVC_ROOT", "CONVZOO_TRACKING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    [shown] = [command for command in commands(ROOT / "README.md") if "add-data" in command.words]
    assert add_data(*shown.words[2:]).splitlines() == shown.output
    params = Path("params.yaml")
    before, name, after = params.read_text().partition("\n  pets-classifier:\n    family:")
    params.write_text(before + name + after.replace("epochs: 20", "epochs: 5", 1))  # enough for stripes
    run_stage("check")
    with Repo(str(clone)) as repo:
        out_of_date = set(repo.status())
    of_the_set = [("download", "pets"), ("prepare", "pets"), ("augment", "pets")]
    of_the_network = [(stage, "pets-classifier") for stage in ("train", "export", "evaluate", "register")]
    assert out_of_date == {"check", "validate", *map("@".join, of_the_set + of_the_network), "report"}

    for stage in (*of_the_set, ("validate",), *of_the_network):
        run_stage(*stage)
    assert "pets-classifier: version 1 registered, alias candidate" in capsys.readouterr().out
    meta = json.loads(Path("data/prepared/pets/meta.json").read_text())
    assert meta["classes"] == list(KINDS)
    assert meta["counts"]["read"] == 120
    metrics = json.loads(Path("models/pets-classifier/evaluation.json").read_text())
    assert metrics["test_images"] == 17
    assert metrics["test_accuracy"] > 0.7, "three kinds of stripes"
    with Repo(str(clone)) as repo:
        still_valid = {name for name in repo.status() if name.endswith("@mnist-classifier")}
    assert not still_valid, "a new data set leaves the verdicts on the others as they were"
