"""Measures with answers worked out by hand, and the evaluation of a small classifier's file."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx_files import save_linear_classifier
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from convzoo.errors import ConvzooError
from convzoo.evaluation import answers as evaluation
from convzoo.evaluation.classifier import evaluate
from convzoo.files import sha256_of, write_json
from convzoo.measures import probabilities as measures
from convzoo.measures.classifier import superclass_probabilities
from convzoo.settings.classifier import EvaluationSettings

CLASSES = ["left", "middle", "right"]
SETTINGS = EvaluationSettings(batch_size=7, confidence=0.95, top_k=2, calibration_bins=10, mistakes_shown=4)

# Four images: right with 0.9, wrong with 0.6, right with 0.5, wrong with 0.7 (the right class comes second).
PROBABILITIES = np.array([[0.9, 0.1, 0.0], [0.1, 0.3, 0.6], [0.3, 0.2, 0.5], [0.7, 0.2, 0.1]], np.float32)
LABELS = np.array([0, 0, 2, 1])


def test_wilson_interval_also_at_its_ends():
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) for p = 0.9, n = 100, z = 1.959964
    assert measures.wilson_interval(90, 100, 0.95) == pytest.approx((0.825634, 0.944770), abs=1e-6)
    low, high = measures.wilson_interval(10, 10, 0.95)
    assert high == 1
    assert low == pytest.approx(10 / (10 + 1.959964**2), abs=1e-6)
    assert measures.wilson_interval(0, 10, 0.95) == pytest.approx((0, 1 - low), abs=1e-6)


@pytest.mark.parametrize(("k", "expected"), [(1, 0.5), (2, 0.75), (3, 1.0), (5, 1.0)])
def test_top_k_accuracy(k, expected):
    assert measures.top_k_accuracy(PROBABILITIES, LABELS, k) == expected


def test_equal_probabilities_count_as_the_argmax_does():
    even = np.full((2, 4), 0.25, np.float32)
    assert measures.top_k_accuracy(even, np.array([0, 3]), 1) == 0.5
    assert measures.top_k_accuracy(even, np.array([1, 2]), 2) == 0.5


def test_the_probability_of_a_superclass_is_the_sum_of_its_classes_probabilities():
    found = superclass_probabilities(PROBABILITIES, np.array([1, 0, 1]))
    np.testing.assert_allclose(found, [[0.1, 0.9], [0.3, 0.7], [0.2, 0.8], [0.2, 0.8]], atol=1e-6)
    # The most probable class is of the superclass 0, the most probable superclass is 1.
    assert superclass_probabilities(np.array([[0.4, 0.35, 0.25]]), np.array([0, 1, 1])).argmax() == 1


def test_log_loss():
    expected = -np.log([0.9, 0.1, 0.5, 0.2]).mean()
    assert measures.log_loss(PROBABILITIES, LABELS) == pytest.approx(expected, abs=1e-6)
    assert measures.log_loss(np.array([[1.0, 0.0]], np.float32), np.array([1])) == pytest.approx(87.33655)
    assert str(measures.log_loss(np.array([[1.0, 0.0]], np.float32), np.array([0]))) == "0.0"


def test_calibration_error_of_two_bins():
    # (0, 0.5]: one image, confidence 0.5, right. (0.5, 1]: three, confidence (0.9 + 0.6 + 0.7) / 3, one right.
    lower, upper = measures.calibration_bins(PROBABILITIES, LABELS, 2)
    assert lower == pytest.approx((0, 0.5, 1, 0.5, 1.0))
    assert upper == pytest.approx((0.5, 1, 3, 2.2 / 3, 1 / 3))
    assert measures.calibration_error([lower, upper]) == pytest.approx(1 / 4 * 0.5 + 3 / 4 * 0.4)


def test_bins_without_images_count_nothing():
    table = measures.calibration_bins(PROBABILITIES, LABELS, 10)
    assert [row.images for row in table] == [0, 0, 0, 0, 1, 0, 2, 0, 1, 0]
    assert table[0] == (0, 0.1, 0, None, None)


def test_calibration_error_of_certain_and_right_answers_is_zero():
    table = measures.calibration_bins(np.eye(3, dtype=np.float32), np.arange(3), 15)
    assert table[-1].images == 3
    assert measures.calibration_error(table) == 0


def test_confusion_and_class_scores():
    answers = PROBABILITIES.argmax(axis=1)
    assert measures.confusion(LABELS, answers, 3).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert measures.class_scores(LABELS, answers, 3) == [
        pytest.approx((1 / 2, 1 / 2, 1 / 2, 2)),
        pytest.approx((0, 0, 0, 1)),  # never answered: no precision
        pytest.approx((1 / 2, 1, 2 / 3, 1)),
    ]


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn_and_scipy(seed):
    rng = np.random.default_rng(seed)
    labels, answers = rng.integers(0, 5, 60), rng.integers(0, 6, 60)  # nobody is of the last class
    np.testing.assert_array_equal(measures.confusion(labels, answers, 6), confusion_matrix(labels, answers))
    expected = precision_recall_fscore_support(labels, answers, zero_division=0)
    np.testing.assert_allclose(np.array(measures.class_scores(labels, answers, 6)).T, expected)
    right, confidence = int((labels == answers).sum()), (0.8, 0.9, 0.95, 0.99, 0.999)[seed]
    expected = binomtest(right, 60).proportion_ci(confidence_level=confidence, method="wilson")
    np.testing.assert_allclose(measures.wilson_interval(right, 60, confidence), expected)


def test_worst_mistakes_come_by_falling_probability():
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 5).tolist() == [3, 1]
    assert measures.worst_mistakes(PROBABILITIES, LABELS, 1).tolist() == [3]
    assert measures.worst_mistakes(np.eye(3), np.arange(3), 5).tolist() == []


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], "1 of 2 rows are not probabilities, first row 1"),
        ([[0.5, 0.6]], [0], "first row 0: sum 1.1"),
        ([[1.5, -0.5]], [0], "smallest -0.5"),
        ([[0.5, 0.5]], [2], "expected labels from 0 to 1, got 2 to 2"),
        ([[0.5, 0.5]], [-1], "expected labels from 0 to 1, got -1 to -1"),
        ([[0.5, 0.5]], [0, 1], r"got \(1, 2\) and \(2,\)"),
    ],
)
def test_what_is_no_probability_is_refused(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        measures.check_probabilities(np.array(probabilities), np.array(labels))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A classifier of 4x3 images that answers with the brightest column; 30 images, 3 of them under a wrong label."""
    monkeypatch.chdir(tmp_path)
    model = Path("models/small/model.onnx")
    save_linear_classifier(model, np.tile(np.eye(3), (4, 1)) / 100, (4, 3, 1))
    export = {"model_sha256": sha256_of(model), "classes": CLASSES, "dataset": "columns"}
    write_json(model.with_name("export.json"), export)
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


def test_evaluate_writes_metrics_and_plots(project, capsys):
    metrics = evaluate("small", SETTINGS)
    assert metrics == json.loads(Path("models/small/metrics.json").read_text())
    assert metrics["test_accuracy"] == 0.9
    assert metrics["test_images"] == 30
    assert metrics["test_accuracy_low"] < 0.9 < metrics["test_accuracy_high"]
    assert metrics["classes"]["left"] == {"precision": 0.9, "recall": 0.818182, "f1": 0.857143, "images": 11}
    written = {file.name for file in Path("models/small/plots").iterdir()}
    tables = {"confusion.csv", "calibration.csv", "classes.csv"}
    assert written == tables | {"confusion.png", "calibration.png", "classes.png", "mistakes.png"}

    assert len(rows("confusion.csv")) == 30
    wrong = [row["id"] for row in rows("confusion.csv") if row["actual"] != row["predicted"]]
    assert wrong == ["test-00004", "test-00005", "test-00006"]
    assert sum(int(row["images"]) for row in rows("calibration.csv")) == 30
    assert [row["class"] for row in rows("classes.csv")] == CLASSES

    for file in Path("models/small/plots").glob("*.png"):
        with Image.open(file) as picture:
            assert set(picture.info) <= {"dpi"}  # no software, no time
    assert "images/s" in capsys.readouterr().out  # said, but written nowhere
    assert set(metrics) == {
        "classes",
        *("test_images", "test_loss", "test_calibration_error", "test_macro_f1"),
        *("test_accuracy", "test_accuracy_low", "test_accuracy_high", "test_top2_accuracy"),
    }


def test_superclasses_have_an_accuracy_a_picture_and_a_table_and_change_nothing_else(project, capsys):
    images, labels = (np.load(f"data/prepared/columns/test/{name}.npy") for name in ("images", "labels"))
    images[7] = [[[100], [107], [100]]]  # the middle is the most probable, one of the sides is more probable still
    write_split(images, labels)
    plain = evaluate("small", SETTINGS)
    pictures = {file.name: file.read_bytes() for file in Path("models/small/plots").iterdir()}
    assert "drawn" not in capsys.readouterr().out
    write_superclasses()
    metrics = evaluate("small", SETTINGS)
    assert metrics == json.loads(Path("models/small/metrics.json").read_text())
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
    assert "of superclasses 90.00%" in told and "30 test images of columns (drawn by convzoo, not the real set)" in told


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


def test_a_model_of_another_export_is_refused(project):
    save_linear_classifier(Path("models/small/model.onnx"), np.ones((12, 3)), (4, 3, 1))
    with pytest.raises(ConvzooError, match=r"model\.onnx: sha256 .* is not what export\.json says"):
        evaluate("small", SETTINGS)


def test_images_of_another_size_are_refused(project):
    write_split(np.zeros((30, 5, 3, 1), np.uint8), np.arange(30) % 3)
    with pytest.raises(ConvzooError, match=r"expected uint8 \(N, 4, 3, 1\).*got uint8 \(7, 5, 3, 1\)"):
        evaluate("small", SETTINGS)


def test_a_label_that_the_model_does_not_know_is_refused(project):
    write_split(np.zeros((3, 4, 3, 1), np.uint8), np.array([0, 1, 3]))
    with pytest.raises(ConvzooError, match="expected labels from 0 to 2, got 0 to 3"):
        evaluate("small", SETTINGS)


@pytest.mark.parametrize(("file", "named"), [("test/images.npy", "columns/test"), ("meta.json", "columns/meta.json")])
def test_a_missing_file_is_named(project, file, named):
    Path("data/prepared/columns", file).unlink()
    with pytest.raises(ConvzooError, match=f"data/prepared/{named}: cannot be read"):
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


def test_measuring_needs_no_torch():
    code = "import sys, convzoo.evaluation.classifier; sys.exit('torch' in sys.modules or 'mlflow' in sys.modules)"
    source = Path(measures.__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, check=False).returncode == 0
