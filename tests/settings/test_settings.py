"""params.yaml and its check."""

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from helpers.project import ROOT

from convzoo.errors import SettingsError
from convzoo.families.find import family_module
from convzoo.settings.load import Settings, read_params
from convzoo.settings.networks import FAMILIES, SECTIONS, network_settings
from convzoo.settings.sources import source_settings
from convzoo.settings.weights import weights_settings
from convzoo.settings.whole import check_all

PARAMS = (ROOT / "params.yaml").read_text()


@pytest.fixture
def complaint(tmp_path, monkeypatch):
    """What is said about params.yaml after `old` in it was replaced by `new`."""
    monkeypatch.chdir(tmp_path)

    def told(old: str, new: str) -> str:
        assert PARAMS.count(old) >= 1, f"params.yaml has no {old!r}"
        Path("params.yaml").write_text(PARAMS.replace(old, new, 1))
        with pytest.raises(SettingsError) as raised:
            check_all(read_params())
        return str(raised.value)

    return told


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_committed_params_are_well():
    check_all(read_params(ROOT / "params.yaml"))


def test_a_wrong_type_names_key_line_value_and_what_it_may_be(complaint):
    told = complaint("epochs: 3", "epochs: ten")
    line = line_of(PARAMS, "epochs: 3")
    expected = f"params.yaml:{line}: networks.mnist-classifier.epochs: got 'ten', expected a whole number of at least 1"
    assert told == expected


def test_a_missing_key_is_named_with_what_it_may_be(complaint):
    told = complaint("    keep: last            # last, best (by accuracy on val)\n", "")
    assert re.search(r"params.yaml:\d+: networks.mnist-classifier.keep: is missing; expected one of: last, best$", told)


def test_an_unknown_key_is_named_with_the_one_that_was_meant(complaint):
    told = complaint("    batch_size: 250", "    batch_size: 250\n    learning_rte: 1")
    assert "networks.mnist-classifier.learning_rte: is not known; did you mean 'learning_rate'?" in told


def test_a_doubled_key_is_named_with_both_lines(complaint):
    told = complaint("    batch_size: 250", "    batch_size: 250\n    epochs: 3")
    assert re.search(r"networks.mnist-classifier.epochs: is set twice \(first in line \d+\); keep one", told)


FORMATS = "expected one of: cifar, cifar100-pictures, idx, pictures"
MISTAKES = [
    ("family: classifier", "family: clasifier", "networks.mnist-classifier.family: got 'clasifier', expected one of"),
    ("data: mnist\n", "data: mnst\n", "networks.mnist-classifier.data: got 'mnst', expected a block of `data`: mnist"),
    (
        "weights: none\n    seed",
        "weights: some\n    seed",
        "networks.mnist-classifier.weights: got 'some', expected none",
    ),
    ("source: mnist-package", "source: mnist", "data.mnist.source: got 'mnist', expected a block of `sources`"),
    ("activation: relu", "activation: swish", "activation: got 'swish', expected one of: relu, leaky_relu"),
    ("optimizer: sgd", "optimizer: sdg", "optimizer: got 'sdg', expected one of: sgd, adam, adamw, rmsprop, muon"),
    ("label_smoothing: 0.1", "label_smoothing: 1", "got 1, expected a number of at least 0 and below 1"),
    ("      - 64\n", "      - 0\n", "fast.widths.1: got 0, expected a whole number of at least 1"),
    ("deterministic: true", "deterministic: 1", "compute.deterministic: got 1, expected true or false"),
    ("precision: auto", "precision: bf16", "compute.precision: got 'bf16', expected auto or fp32 with portable: true"),
    ("device: auto", "device: cuda", "compute.device: got 'cuda', expected auto or cpu with portable: true"),
    ("device: auto", "device: mps", "compute.device: got 'mps', expected auto or cpu with portable: true"),
    ("devices: 1", "devices: 2", "compute.devices: got 2, expected 1 with portable: true; set it, or set portable: f"),
    ("deterministic: true", "deterministic: false", "compute.deterministic: got false, expected true with portable"),
    ("threads: 2", "threads: auto", "compute.threads: got 'auto', expected a whole number with portable: true"),
    ("val_fraction: 0.1", "val_fraction: 1.5", "val_fraction: got 1.5, expected a number above 0 and below 1"),
    ("kind: archive", "kind: torrent", "kind: got 'torrent', expected one of: archive, folder, kaggle, package, syn"),
    ("kind: archive", "knd: archive", "kind: is missing; did you mean 'knd'? expected one of: archive, folder, kaggle"),
    (
        "kind: onnx",
        "kind: [onnx]",
        "digits.kind: got ['onnx'], expected one of: file, none, onnx, package, torchvision",
    ),
    ("kind: onnx\n", "# no kind\n", "weights.digits.kind: is missing; expected one of: file, none, onnx, package"),
    (
        "weights:\n",
        "weights:\n  mine: net.pth\n",
        "weights.mine: got 'net.pth', expected a block with the key kind (one of: file, none, onnx, package, torch",
    ),
    (
        "networks:\n",
        "networks:\n  new: 1\n",
        "networks.new: got 1, expected a block with the key family (one of: auto",
    ),
    ("    format: cifar\n", "", f"cifar10-published.format: is missing; {FORMATS}"),
    ("format: cifar", "format: cfar", f"published.format: got 'cfar', {FORMATS}"),
    ("drawing: shapes10 ", "drawing: shape ", "drawing: got 'shape', expected one of: shapes10, shapes100, faces"),
    ("limits: {files: 20", "limits: {files: 0", "limits.files: got 0, expected a whole number of at least 1"),
    ("handle: alxmamaev/flowers", "handle: flowers", "handle: got 'flowers-recognition', expected text that matches"),
    ("resize: none  ", "resize: squash  ", "resize: got 'squash', expected one of: none, crop, pad, stretch"),
    ("crop: 1  ", "crop: 0  ", "augment.crop: got 0, expected a number above 0 and up to 1"),
    ("checksum: md5:f68", "checksum: md5:xyz", "expected text that matches"),
    (
        "train-images-idx3-ubyte.gz:\n",
        "../train-images:\n",
        "files.../train-images: got '../train-images', expected text",
    ),
    ("      - '1'\n", "      - '0'\n", "expected every class name in `classes` once"),
    ("  mnist-classifier:\n    views", "  mnist-clasifier:\n    views", "there is no network of this name"),
    ("seed: 0", "seed: -1", "seed: got -1, expected a whole number of at least 0"),
    ("compute:", "compute: 3\nold:", "compute: got 3, expected a block"),
    ("networks:\n", "networks: [\n", "is not valid YAML"),
    ("      - 128\n", "      - 8\n" * 3, "fast.widths: 5 halvings leave nothing of pictures of 28x28"),
    ("shift: 2  ", "shift: 28  ", "shift: got 28, expected less than the side of pictures of 28x28"),
    ("sizes: [] ", "sizes: [14, 27] ", "sizes: got [14, 27], expected the last to be the side of square pictures"),
    ("sizes: [] ", "sizes: [8, 28] ", "sizes: got [8, 28], expected 9 to 28, which the blocks can halve"),
    ("sizes: [] ", "sizes: [32, 28] ", "sizes: got [32, 28], expected 9 to 28"),
    ("cutout: 0  ", "cutout: 40  ", "cutout: got 40, expected less than the side"),
    ("ema_decay: 0.9 ", "ema_decay: .nan ", "ema_decay: got nan, expected a number of at least 0 and below 1"),
    ("evaluation:\n", "evaluation:\n  1: {}\n", "the key '1' is no text; put it in quotes"),
    ("limits: {files: 20,", "limits: {files: 0,1,", "the key '1' stands alone after a comma; write a decimal"),
    ("sources:\n", "sources:\n  ? [a]\n  : 1\n", "is no text; put it in quotes"),
    ("profile: starter", "profile: &a starter\nold: *a", "aliases (*name) are not allowed"),
]


def test_without_variants_the_rest_of_augment_need_not_be_said(tmp_path):
    short = " {variants: 0, pictured: 12}"
    text = re.sub(r"(  mnist:\n(?:    .*\n)*?    augment:).*\n(?:      .*\n)+", rf"\1{short}\n", PARAMS)
    assert text != PARAMS
    (tmp_path / "params.yaml").write_text(text)
    check_all(read_params(tmp_path / "params.yaml"))
    (tmp_path / "params.yaml").write_text(text.replace(short, short.replace("0", "1")))
    with pytest.raises(SettingsError, match=r"data\.mnist\.augment\.variants: got 1, expected 0"):
        check_all(read_params(tmp_path / "params.yaml"))


def test_each_block_becomes_the_class_of_its_kind_and_format():
    params = read_params(ROOT / "params.yaml")
    sources = {name: type(source_settings(params, name)).__name__ for name in params.values["sources"]}
    assert sources["mnist-published"] == "IdxSource"
    assert sources["cifar10-published"] == "CifarSource"
    assert sources["cifar100-lossless"] == sources["flowers-published"] == "PictureSource"
    assert sources["anime-kaggle"] == "KaggleSource"
    assert sources["anime-drawn"] == "SyntheticSource"
    assert sources["mnist-package"] == "PackageSource"
    weights = {name: type(weights_settings(params, name)).__name__ for name in params.values["weights"]}
    assert weights["none"] == weights["resnet50"] == "NoWeights"
    assert weights["efficientnet-lite0"] == "PackageWeights"
    assert weights["digits"] == "OnnxWeights"


@pytest.mark.parametrize("section", SECTIONS)
def test_each_block_of_a_network_becomes_the_class_of_its_family(section):
    params = read_params(ROOT / "params.yaml")
    for network, values in params.values["networks"].items():
        settings = network_settings(params, section, network)
        assert type(settings) is getattr(family_module(values["family"], "settings"), SECTIONS[section])
        assert settings.model_dump() == params.values[section][network]


def keys_with_one_value(settings: type[Settings]) -> set[str]:
    """The keys of a block, and of the blocks in it, that can have one value only."""
    found = set()
    for name, field in settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
            found |= keys_with_one_value(field.annotation)
        elif get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            found.add(name)
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_has_no_setting_that_cannot_be_changed(family):
    for name in SECTIONS.values():
        # dvc.yaml reads both of every network, whatever its family.
        assert keys_with_one_value(getattr(family_module(family, "settings"), name)) <= {"family", "weights"}


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_a_mistake_is_answered_with_the_key_and_what_it_may_be(complaint, old, new, expected):
    told = complaint(old, new)
    assert expected in told
    assert re.match(r"params\.yaml:\d+|params\.yaml: ", told)


def test_a_reference_layout_that_pools_the_picture_away_is_named(complaint, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PARAMS", PARAMS.replace("architecture: fast", "architecture: reference"))
    told = complaint("      - - 64\n        - 64\n", "      - - 8\n        - 8\n      - - 8\n      - - 8\n")
    assert "reference.blocks: convolutions and pooling leave nothing of pictures of 28x28; expected fewer" in told


def test_all_mistakes_are_told_at_once(complaint, monkeypatch):
    monkeypatch.setattr(f"{__name__}.PARAMS", PARAMS.replace("epochs: 3", "epochs: ten", 1))
    assert len(complaint("rotation: 12", "rotation: 200").splitlines()) == 2


def test_1e_3_is_a_number(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("rate: 1e-3\n")
    assert read_params(file).values == {"rate": 0.001}


@pytest.mark.parametrize("text", ["", "- 1\n", "a: [1\n", "\ta: 1\n", "a: \x00\n"])
def test_a_file_that_is_no_mapping_is_refused_in_a_line(tmp_path, text):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=r"params\.yaml"):
        read_params(file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match="run this from the project's folder"):
        read_params(tmp_path / "params.yaml")
