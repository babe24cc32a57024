"""What only the evaluation of class probabilities has, on a classifier whose answers are known."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.onnx_files import save_linear_classifier
from helpers.small import CLASSIFIER
from PIL import Image

from convzoo.data.arrays import save_array
from convzoo.errors import ConvzooError
from convzoo.families.classifier.evaluate import evaluate
from convzoo.families.probabilities import evaluate as evaluation
from convzoo.files import sha256_of, write_json
from convzoo.metrics import classification as measures

CLASSES = ["left", "middle", "right"]
SETTINGS = CLASSIFIER.evaluation


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A classifier of 4x3 images that answers with the brightest column; 30 images, 3 of them under a wrong label."""
    monkeypatch.chdir(tmp_path)
    model = Path("models/small/model.onnx")
    save_linear_classifier(model, np.tile(np.eye(3), (4, 1)) / 100, (4, 3, 1))
    export = {"model_sha256": sha256_of(model), "classes": CLASSES, "dataset": "columns"}
    write_json(model.with_name("export.json"), export)
    save_array(Path("models/small/extra/augmented_batch.npy"), np.full((24, 4, 3, 1), 7, np.uint8))
    labels = np.arange(30) % 3
    images = np.random.default_rng(0).integers(0, 100, size=(30, 4, 3, 1), dtype=np.uint8)
    images[np.arange(30), :, labels] += 120
    labels[[4, 5, 6]] = [0, 0, 1]
    write_split(images, labels)
    write_json(Path("data/prepared/columns/meta.json"), {"classes": CLASSES, "source": {"kind": "archive"}})


def write_superclasses(**changes):
    about = {"superclasses": ["side", "centre"], "superclass_of": [0, 1, 0], "source": {"kind": "synthetic"}}
    write_json(Path("data/prepared/columns/meta.json"), about | changes)


def write_split(images, labels):
    folder = Path("data/prepared/columns/test")
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", labels.astype(np.int64))
    ids = [f"test-{index:05d}" for index in range(len(images))]
    (folder / "manifest.csv").write_text("\n".join(["id,label", *(f"{i},0" for i in ids)]) + "\n")


def rows(name):
    with Path("models/small/plots", name).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_metrics_and_tables_count_the_three_wrong_images(project):
    metrics = evaluate("small", SETTINGS)
    assert metrics["test_accuracy"] == 0.9
    assert metrics["test_images"] == 30
    assert metrics["test_accuracy_low"] < 0.9 < metrics["test_accuracy_high"]
    assert metrics["classes"]["left"] == {"precision": 0.9, "recall": 0.818182, "f1": 0.857143, "images": 11}
    assert len(rows("confusion.csv")) == 30
    wrong = [row["id"] for row in rows("confusion.csv") if row["actual"] != row["predicted"]]
    assert wrong == ["test-00004", "test-00005", "test-00006"]
    assert sum(int(row["images"]) for row in rows("calibration.csv")) == 30
    assert [row["class"] for row in rows("classes.csv")] == CLASSES


def test_superclasses_have_an_accuracy_a_picture_and_a_table_and_change_nothing_else(project, capsys):
    images, labels = (np.load(f"data/prepared/columns/test/{name}.npy") for name in ("images", "labels"))
    images[7] = [[[100], [107], [100]]]  # the middle is the most probable, one of the sides is more probable still
    write_split(images, labels)
    plain = evaluate("small", SETTINGS)
    pictures = {file.name: file.read_bytes() for file in Path("models/small/plots").iterdir()}
    assert "drawn" not in capsys.readouterr().out
    write_superclasses()
    metrics = evaluate("small", SETTINGS)
    assert metrics == json.loads(Path("models/small/evaluation.json").read_text())
    # Of the three under a wrong label one is on the other side: right as a superclass.
    low, high = measures.wilson_interval(27, 30, 0.95)
    assert metrics.pop("test_coarse_accuracy") == 0.9
    assert metrics.pop("test_coarse_accuracy_low") == pytest.approx(low, abs=1e-6)
    assert metrics.pop("test_coarse_accuracy_high") == pytest.approx(high, abs=1e-6)
    assert metrics == plain
    found = {file.name: file.read_bytes() for file in Path("models/small/plots").iterdir()}
    assert found.keys() - pictures.keys() == {"superclasses.png", "superclasses.csv"}
    assert {name: found[name] for name in pictures} == pictures
    wrong = [(row["id"][-1], row["actual"]) for row in rows("superclasses.csv") if row["actual"] != row["predicted"]]
    assert wrong == [("4", "side"), ("6", "centre"), ("7", "centre")]
    told = capsys.readouterr().out
    assert (
        "of superclasses 90.00 %" in told and "30 test images of columns (drawn by convzoo, not the real set)" in told
    )


@pytest.mark.parametrize("of", [[0, 1], [0, 1, 2], [0, 1, -1]])
def test_superclasses_that_do_not_fit_the_classes_are_refused(project, of):
    write_superclasses(superclass_of=of)
    with pytest.raises(ConvzooError, match=r"meta\.json: superclass_of has .* expected one from 0 to 1 for each of 3"):
        evaluate("small", SETTINGS)


def test_pictures_of_many_classes_name_their_superclasses_and_have_columns(project):
    names = [f"class {number}" for number in range(60)]
    model = Path("models/small/model.onnx")
    save_linear_classifier(model, np.eye(60) / 100, (6, 10, 1))
    export = {"model_sha256": sha256_of(model), "classes": names, "dataset": "columns"}
    write_json(model.with_name("export.json"), export)
    images = np.random.default_rng(0).integers(0, 256, (120, 6, 10, 1), np.uint8)
    write_split(images, np.arange(120) % 60)
    write_superclasses(superclasses=list("abcde"), superclass_of=[number % 5 for number in range(60)])
    evaluate("small", SETTINGS)
    for name, size in (("confusion", (1560, 1425)), ("classes", (1800, 945))):
        with Image.open(f"models/small/plots/{name}.png") as picture:
            assert picture.size == size


def test_the_same_file_and_images_give_the_same_bytes_in_other_batches(project):
    contents = []
    for batch_size in (7, 30):
        evaluate("small", SETTINGS.model_copy(update={"batch_size": batch_size}))
        files = sorted(file for file in Path("models/small").rglob("*") if file.is_file())
        contents.append({file: file.read_bytes() for file in files})
    assert contents[0] == contents[1]


def test_without_mistakes_the_gallery_says_so(project):
    images = np.load("data/prepared/columns/test/images.npy")
    write_split(images, np.arange(30) % 3)
    assert evaluate("small", SETTINGS)["test_accuracy"] == 1
    with Image.open("models/small/plots/mistakes.png") as empty:
        assert empty.height < 100  # the title alone
        assert len(empty.convert("L").getcolors()) > 2


def test_augmented_images_are_drawn_in_rows_of_twelve(project):
    evaluate("small", SETTINGS)
    with Image.open("models/small/plots/augmented_batch.png") as sheet:
        width, height = 3 * 16, 4 * 16  # enlarged to about 64 pixels
        assert sheet.size == (12 * (width + 6) + 6, 2 * (height + 6) + 6)
        assert sheet.getpixel((10, 10)) == (7, 7, 7)


def test_a_label_that_the_model_does_not_know_is_refused(project):
    write_split(np.zeros((3, 4, 3, 1), np.uint8), np.array([0, 1, 3]))
    with pytest.raises(ConvzooError, match="expected labels from 0 to 2, got 0 to 3"):
        evaluate("small", SETTINGS)


def test_a_missing_description_of_the_data_is_named(project):
    Path("data/prepared/columns/meta.json").unlink()
    with pytest.raises(ConvzooError, match=r"data/prepared/columns/meta\.json: cannot be read"):
        evaluate("small", SETTINGS)


def test_mistakes_are_named_by_the_end_of_a_long_id(project, monkeypatch):
    told = []
    monkeypatch.setattr(evaluation, "gallery", lambda path, images, captions, title: told.extend(captions))
    manifest = Path("data/prepared/columns/test/manifest.csv")
    manifest.write_text(manifest.read_text().replace("test-", "test/left/a-photo-of-a-column-"))
    evaluate("small", SETTINGS)
    assert sorted(caption[-17:] for caption in told) == [f" …-a-column-0000{row}" for row in (4, 5, 6)]


def test_counts_that_differ_are_refused(project):
    split = Path("data/prepared/columns/test")
    np.save(split / "labels.npy", np.zeros(29, np.int64))
    with pytest.raises(ConvzooError, match="30 images, 29 labels and 30 rows"):
        evaluate("small", SETTINGS)
