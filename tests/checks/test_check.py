"""The stage `check`: data/code changes if, and only if, something changed that a stage depends on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.project import ROOT, python

from convzoo.checks.code import CODE
from convzoo.families.find import family_names
from convzoo.files import read_json, write_json

NUMBERS = "src/convzoo/data/arrays.py"
REGISTER = {f"register-{family}" for family in family_names()}


@pytest.fixture(scope="module")
def checked(tmp_path_factory) -> Path:
    """The project's code after a check; nothing has run."""
    folder = tmp_path_factory.mktemp("checked") / "clone"
    for part in ("src", "pipeline"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", folder)
    assert python(folder, "pipeline/check.py") == ""
    return folder


@pytest.fixture
def project(checked, tmp_path) -> Path:
    return Path(shutil.copytree(checked, tmp_path / "project"))


def changed_by(project: Path, file: str, old: str, new: str) -> tuple[set[str], str]:
    """The files of data/code that an edit changes, and what the check printed."""
    before = {path.name: path.read_bytes() for path in (project / CODE).iterdir()}
    text = (project / file).read_text()
    assert old in text
    (project / file).write_text(text.replace(old, new, 1))
    printed = python(project, "pipeline/check.py")
    after = {path.name: path.read_bytes() for path in (project / CODE).iterdir()}
    return {name.removesuffix(".json") for name in before | after if before.get(name) != after.get(name)}, printed


def test_a_second_check_writes_nothing(project):
    times = {path: path.stat().st_mtime_ns for path in (project / CODE).iterdir()}
    assert python(project, "pipeline/check.py") == ""
    assert {path: path.stat().st_mtime_ns for path in (project / CODE).iterdir()} == times


def test_a_network_concerns_its_family_alone(project):
    changed, printed = changed_by(project, "src/convzoo/families/dcgan/network.py", "STD = 0.02", "STD = 0.03")
    assert changed == {"train-dcgan", "export-dcgan"}
    assert printed == "train-dcgan, export-dcgan run again: src/convzoo/families/dcgan/network.py changed\n"


def test_a_card_concerns_the_registration_of_its_family_alone(project):
    changed, _ = changed_by(project, "src/convzoo/families/dcgan/card.py", "Missing kinds", "Missing sorts")
    assert changed == {"register-dcgan", "report"}


def test_a_promotion_concerns_no_stage(project):
    changed, _ = changed_by(project, "src/convzoo/families/dcgan/promote.py", 'main = "kid"', 'main = "kids"')
    assert changed == set()


NOTHING = {
    "comment": ("src/convzoo/families/dcgan/network.py", "STD = 0.02  #", "STD = 0.02  # that is"),
    "docstring": (NUMBERS, '"""A prepared split on disk', '"""A prepared split in files'),
    "tracking": ("src/convzoo/tracking/labels.py", "import ", "import os  # noqa\nimport "),
    "message": ("src/convzoo/errors.py", "stopped", "halted"),
    "the check itself": ("src/convzoo/checks/stage.py", "NAMED = 3", "NAMED = 4"),
}


@pytest.mark.parametrize("edit", NOTHING.values(), ids=NOTHING)
def test_what_cannot_change_a_result_makes_nothing_run_again(project, edit):
    changed, _ = changed_by(project, *edit)
    assert changed <= REGISTER, "which tracking is the work of"


def test_a_picture_of_a_run_makes_no_network_train_again(project):
    changed, _ = changed_by(project, "src/convzoo/data/contact_sheet.py", "GAP = 6", "GAP = 8")
    assert changed and not [name for name in changed if name.startswith(("train", "export", "prepare"))]


def test_a_new_version_of_a_package_is_noticed_where_it_counts(project):
    fake = project / "src/onnxruntime-1.0.0.dist-info/METADATA"
    fake.parent.mkdir()
    fake.write_text("Metadata-Version: 2.1\nName: onnxruntime\nVersion: 1.0.0\n")
    before = {path.stem: read_json(path) for path in (project / CODE).iterdir()}
    printed = python(project, "pipeline/check.py")
    changed = {path.stem for path in (project / CODE).iterdir() if read_json(path) != before[path.stem]}
    assert changed == {name for name, stored in before.items() if "onnxruntime" in stored.get("versions", {})}
    assert "evaluate-classifier" in changed and "prepare" not in changed
    assert "onnxruntime 1.31" in printed and "-> 1.0.0" in printed


def test_a_mistake_in_params_or_code_leaves_the_last_check_as_it_was(project):
    before = {path: path.read_bytes() for path in (project / CODE).iterdir()}
    for file, old, new, expected in (
        ("params.yaml", "epochs: 3", "epochs: ten", "expected a whole number of at least 1"),
        (NUMBERS, "import hashlib", "import hashlib\ndef f(:", r"arrays.py"),
    ):
        text = (project / file).read_text()
        (project / file).write_text(text.replace(old, new, 1))
        printed = python(project, "pipeline/check.py", expected=1)
        assert (expected in printed and "is not valid Python" in printed) or expected in printed
        assert {path: path.read_bytes() for path in (project / CODE).iterdir()} == before
        (project / file).write_text(text)


def test_files_that_are_no_longer_due_go(project):
    write_json(project / CODE / "train-gone.json", {"modules": {}, "versions": {}})
    python(project, "pipeline/check.py")
    assert not (project / CODE / "train-gone.json").exists()


def test_a_limit_of_the_data_checks_makes_validate_alone_run_again(project):
    changed, printed = changed_by(project, "params.yaml", "min_contrast: 2", "min_contrast: 3")
    assert changed == {"validate"}
    assert printed == "validate runs again: data.mnist.validate changed\n"
    seen = read_json(project / CODE / "validate.json")
    settings = {key: value for key, value in seen["settings"].items() if not key.startswith("data.mnist.")}
    write_json(project / CODE / "validate.json", seen | {"settings": settings})  # as before the data set was added
    assert python(project, "pipeline/check.py") == "validate runs again: data.mnist is new\n"
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("min_contrast: 3", "min_contrast: 4"))
    assert python(project, "pipeline/validate.py", expected=1) == (
        "error: validate: the settings changed since check (data.mnist.validate), expected the settings that it saw; "
        "run: convzoo repro\n"
    )


def test_a_stage_stops_if_its_code_is_not_what_the_check_saw(project):
    text = (project / NUMBERS).read_text()
    (project / NUMBERS).write_text(text.replace("ROWS = 4096", "ROWS = 2048"))
    for stage, name in (("augment", "mnist"), ("train", "mnist-dcgan"), ("validate", None)):
        printed = python(project, f"pipeline/{stage}.py", *filter(None, [name]), expected=1)
        assert printed == (
            f"error: {stage}: the code changed since check ({NUMBERS}), expected the code that it saw; "
            "run: convzoo repro\n"
        )
    (project / NUMBERS).write_text("# " + text.replace("ROWS = 4096", "ROWS = 4096  # images"))
    printed = python(project, "pipeline/augment.py", "mnist", expected=1)
    assert "code changed" not in printed and "prepared/mnist/train" in printed, "a comment is no other code"
    (project / CODE / "augment.json").unlink()
    assert "expected what the stage check writes; run: convzoo repro" in python(
        project, "pipeline/augment.py", "mnist", expected=1
    )


OWN = """  pets:
    kind: folder
    licence: mine
    path: {path}
    layout: "{{class}}/*.png"
    limits: {{files: 100, bytes: 1000000, pixels: 10000}}
"""


def test_an_added_a_changed_and_a_removed_picture_of_a_folder_are_noticed(project, tmp_path):
    photos = tmp_path / "photos"
    (photos / "cats").mkdir(parents=True)
    (photos / "cats/1.png").write_bytes(b"one")
    params = (project / "params.yaml").read_text()
    params = params.replace("sources:\n", "sources:\n" + OWN.format(path=photos), 1)
    params = params.replace("    source: mnist-package", "    source: pets", 1)
    (project / "params.yaml").write_text(params)

    def check() -> tuple[dict, str]:
        printed = python(project, "pipeline/check.py")
        return read_json(project / CODE / "source-mnist.json"), printed

    first, printed = check()
    assert first["files"] == 1
    assert check() == (first, "")
    old = 1_600_000_000
    os.utime(photos / "cats/1.png", (old, old))  # another time, the same content
    assert check() == (first, "")

    (photos / "cats/1.png").write_bytes(b"two")
    os.utime(photos / "cats/1.png", (old + 1, old + 1))
    second, printed = check()
    assert second["files"] == 1 and second != first
    assert printed == "download@mnist runs again: your files changed (1 before, 1 now)\n"
    (photos / "cats/2.png").write_bytes(b"one")
    third, printed = check()
    assert third["files"] == 2
    (photos / "cats/1.png").rename(photos / "cats/3.png")
    assert check()[0] not in (first, second, third)
    (photos / "cats/3.png").unlink()
    (photos / "cats/2.png").rename(photos / "cats/1.png")
    assert check()[0] == first, "the same pictures, the same digest"
    (photos / "notes.txt").write_text("no picture")
    assert check()[0] == first
    (photos / "birds/young").mkdir(parents=True)
    fourth, printed = check()
    assert fourth["files"] == 1 and fourth != first, "the names of folders without pictures are packed too"
    assert printed == "download@mnist runs again: your files changed (1 before, 1 now)\n"
    (photos / "birds/young").rename(photos / "birds/old")
    assert check()[0] not in (first, fourth)
    shutil.rmtree(photos / "birds")
    (photos / ".hidden").mkdir()
    assert check()[0] == first, "as is packed"

    shutil.rmtree(photos)
    assert check() == (first, ""), "what is cached can be used without the folder"


@pytest.mark.parametrize("command", [["pipeline/check.py"], ["-m", "convzoo.cli", "check"]])
def test_a_locale_without_utf8_is_refused_with_its_remedy(project, command):
    before = {path.name: path.read_bytes() for path in (project / CODE).iterdir()}
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(project / "src")}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=os.environ | ascii_locale, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "error: the locale has the encoding ascii, expected UTF-8; run: export LC_ALL=C.UTF-8"
    )
    assert len(done.stderr.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in (project / CODE).iterdir()} == before
