"""`convzoo predict` on the networks of the profile `test`."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, convzoo
from PIL import Image

from convzoo.settings.load import read_params

NETWORK = "mnist-classifier"
BLOCKS = read_params(ROOT / "params.yaml").values["networks"]
NETWORKS = list(BLOCKS)
CLASSIFIERS = [name for name, block in BLOCKS.items() if block["family"] in ("classifier", "transfer")]


@pytest.fixture(scope="module")
def digits(rebuilt, tmp_path_factory) -> Path:
    """Test digits as files of several sizes and modes, `CLASS-ID.SUFFIX`, a folder in a folder among them."""
    folder = tmp_path_factory.mktemp("digits")
    images = np.load(rebuilt.folder / "data/prepared/mnist/test/images.npy")[:6, :, :, 0]
    labels = np.load(rebuilt.folder / "data/prepared/mnist/test/labels.npy")[:6]
    (folder / "more").mkdir()
    modes, suffixes = ("L", "RGB", "P", "RGBA", "1", "I;16"), ("png", "jpg", "gif", "png", "bmp", "tif")
    forms = zip(modes, (1, 2, 1, 3, 1, 2), suffixes, strict=True)
    for number, (pixels, label, (mode, times, suffix)) in enumerate(zip(images, labels, forms, strict=True)):
        image = Image.fromarray(pixels).resize((28 * times, 28 * times))
        deep = mode == "I;16"
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if deep else image.convert(mode)
        image.save(folder / ("more" if number > 3 else ".") / f"{label}-{number}.{suffix}")
    return folder


def test_predict_answers_files_and_folders_of_any_size_and_mode(rebuilt, digits):
    answers = json.loads(only_json(convzoo(rebuilt.folder, "predict", NETWORK, str(digits), "--json")))
    assert len(answers) == 6
    right = [answer for answer in answers if Path(answer["file"]).name.startswith(answer["class"])]
    assert len(right) >= 5
    assert all(0 < answer["probability"] <= 1 for answer in answers)


def only_json(told: str) -> str:
    """The JSON list in what a command printed on both channels."""
    return told[told.index("[") : told.rindex("]") + 1]


def test_predict_names_what_it_cannot_read_and_answers_the_rest(rebuilt, digits, tmp_path):
    good = next(digits.glob("*.png"))
    cut, text, empty = tmp_path / "cut.png", tmp_path / "text.png", tmp_path / "empty"
    cut.write_bytes(good.read_bytes()[:60])
    text.write_text("no picture")
    empty.mkdir()
    paths = [str(path) for path in (good, cut, text, empty, tmp_path / "missing.png")]
    told = convzoo(rebuilt.folder, "predict", f"{NETWORK}@candidate", *paths, "--json", expected=1)
    assert f"{NETWORK}@candidate: version 1" in told
    answers = {Path(answer["file"]).name: answer for answer in json.loads(only_json(told))}
    assert "class" in answers[good.name]
    assert answers["text.png"]["error"].startswith("is not an image that can be read, expected JPEG, PNG")
    assert answers["missing.png"]["error"].startswith("file not found")
    assert answers["empty"]["error"].startswith("the folder contains no images")
    assert "cannot be read" in answers["cut.png"]["error"]
    table = convzoo(rebuilt.folder, "predict", NETWORK, *paths[:3], expected=1)
    assert "is not an image that can be read, expected JPEG, PNG" in table


def test_predict_says_which_names_there_are(rebuilt):
    output = convzoo(rebuilt.folder, "predict", "mnist-clasifier", "x.png", expected=1)
    listed = output.split("registered models for this command:")[1]
    assert [name for name in NETWORKS if name in listed] == CLASSIFIERS
    output = convzoo(rebuilt.folder, "predict", f"{NETWORK}@champion", "x.png", expected=1)
    assert (
        f"{NETWORK} has no champion yet; to make its candidate the champion, run: convzoo promote {NETWORK}" in output
    )


def test_predict_refuses_a_registered_file_that_was_changed(clone, digits):
    for file in (clone / "mlruns/artifacts").rglob("model.onnx"):
        file.write_bytes(file.read_bytes() + b"\0")
    told = convzoo(clone, "predict", NETWORK, str(digits), expected=1)
    assert "is another one, expected the one that was registered" in told
