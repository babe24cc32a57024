"""The pages for those who learn: what they quote stands in the source, what they name exists, and the pictures draw."""

import ast
import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from figures import __main__ as lessons
from figures import autoencoder, classifier, dcgan, layers, overview, transfer
from figures.activations import slopes
from figures.drawing import mosaic, pack
from figures.learning import PATHS, halves, walk
from figures.trained import Data
from helpers.project import ROOT
from helpers.served import write_generator
from helpers.small.images import shapes
from PIL import Image
from safetensors.torch import save_file

from convzoo import plots
from convzoo.errors import ConvzooError
from convzoo.families.classifier.network import ACTIVATIONS
from convzoo.families.classifier.settings import TrainingSettings
from convzoo.families.transfer.structure import structure
from convzoo.files import sha256_of, write_json
from convzoo.settings.load import read_params

FOLDER = ROOT / "docs/networks"
PAGES = sorted(FOLDER.glob("*.md"))
IMAGES = sorted((FOLDER / "images").iterdir())
LARGEST, LARGEST_SUM = 150_000, 3_000_000  # bytes

PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
EXCERPT = re.compile(r"^\[[^\]]+\]\(([^)]+)\), `([\w.]+)`:\n\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEYS = re.compile(r"^\*\*params\.yaml\*\*, `([\w.-]+)`: (.+)$", re.MULTILINE)


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def source_of(file: Path, name: str) -> str:
    """The lines of a function, class or constant (`Class.function` for one inside) of a file."""
    body = parsed(file).body
    for part in name.split("."):
        named = [
            node
            for node in body
            if getattr(node, "name", None) == part
            or (isinstance(node, ast.Assign) and part in [getattr(target, "id", None) for target in node.targets])
        ]
        assert named, f"{file.name} has no {name}"
        body = getattr(named[0], "body", [])
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(lines[named[0].lineno - 1 : named[0].end_lineno])


def excerpts() -> list[tuple[str, str, str, str]]:
    return [(path.name, *found) for path in PAGES for found in EXCERPT.findall(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("name", "link", "function", "quoted"), excerpts())
def test_what_a_page_quotes_stands_in_the_source(name, link, function, quoted):
    source = source_of((FOLDER / link).resolve(), function)
    assert quoted in source + "\n", f"{name} quotes {function} as it is not"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_python_block_says_where_it_is_from(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("```python") == len(EXCERPT.findall(text))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_params_key_that_a_page_names_exists(path):
    params = read_params(ROOT / "params.yaml").values
    text = path.read_text(encoding="utf-8")
    assert text.count("**params.yaml**") == len(KEYS.findall(text))
    for block, keys in KEYS.findall(text):
        named = re.findall(r"`([^`]+)`", keys)
        assert named
        for key in named:
            value = params
            for part in f"{block}.{key}".split("."):
                assert part in value, f"{path.name}: params.yaml has no {block}.{key}"
                value = value[part]


def test_every_picture_is_shown_and_described():
    shown = [found for path in PAGES for found in PICTURE.findall(path.read_text(encoding="utf-8"))]
    assert all(len(description) > 20 for description, _ in shown)
    assert {link for _, link in shown} == {f"images/{image.name}" for image in IMAGES}


def test_pictures_are_small():
    sizes = {image.name: image.stat().st_size for image in IMAGES}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
    assert sum(sizes.values()) < LARGEST_SUM


def test_formulas_are_closed():
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert text.count("```") % 2 == 0, path.name
        outside = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert "$" not in re.sub(r"\$`[^`$]+`\$", "", outside), f"{path.name}: inline math is $`...`$"


def test_the_classifier_page_names_every_choice_that_there_is():
    text = page("classifier.md")
    for key in ("activation", "optimizer"):
        for choice in get_args(TrainingSettings.model_fields[key].annotation):
            assert f"\n| `{choice}`" in text, f"{key}: {choice}"
    assert set(get_args(TrainingSettings.model_fields["activation"].annotation)) == set(ACTIVATIONS)


def small_set(dataset: str, channels: int) -> dict:
    """A prepared set of 60 train and 60 val images in the folder that is the current one; what meta.json says of it."""
    prepared = Path("data/prepared", dataset)
    for split, seed in (("train", 1), ("val", 2)):
        (prepared / split).mkdir(parents=True)
        made = shapes(60, seed, channels)
        np.save(prepared / split / "images.npy", made.images)
        np.save(prepared / split / "labels.npy", made.labels)
    meta = {"dataset": dataset, "classes": list("abcd"), "shape": [28, 28, channels]}
    meta |= {"mean": [0.2] * channels, "std": [0.3] * channels}
    write_json(prepared / "train/meta.json", meta)
    return meta


def small_model(network: str, body: torch.nn.Module, about: dict, history: str = "") -> None:
    """An untrained network under models/, as the stage `train` leaves a trained one."""
    folder = Path("models", network)
    write_json(folder / "architecture.json", about)
    (folder / "history.csv").write_text(history)
    save_file({name: value.contiguous() for name, value in body.state_dict().items()}, folder / "weights.safetensors")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in, with params.yaml; pictures are small there."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(plots.STYLE, "savefig.dpi", 30)
    return tmp_path


def drawn(family: str) -> dict[str, bytes]:
    """The pictures in the current folder, which must be those of a family's page."""
    found = {file.name: file.read_bytes() for file in Path().glob("*.png")}
    assert set(found) == {image.name for image in IMAGES if image.name.startswith(f"{family}-")}
    return found


def test_the_classifiers_pictures_draw_and_have_the_same_bytes_again(workplace, monkeypatch):
    for network, dataset, channels in (("mnist-classifier", "mnist", 1), ("cifar10-classifier", "cifar10", 3)):
        arguments = {"channels": channels, "classes": 4, "activation": "relu", "widths": [8, 8]}
        arguments |= {"convolutions": 2, "pooling": "max", "whitening": True, "dirac": True, "logit_scale": 0.125}
        body = classifier.build("fast", arguments)
        body.whiten(torch.randn(20, channels, 28, 28))
        small_model(network, body, small_set(dataset, channels) | {"architecture": "fast", "arguments": arguments})
        write_json(Path("models", network, "export.json"), {"temperature": 0.5})
    monkeypatch.setattr(classifier, "DIGIT", 2)
    monkeypatch.setattr(classifier, "PAIR", (0, 1))
    monkeypatch.setattr(classifier, "RACE_STEPS", 3)
    classifier.draw(Path())
    first = drawn("classifier")
    body, data = classifier.load("mnist-classifier")
    layers.draw_pooling(Path("again.png"), body, data, layers.first_of(data, 2))
    assert Path("again.png").read_bytes() == first["classifier-pooling.png"]


def test_the_autoencoders_pictures_draw(workplace, monkeypatch):
    arguments = {"height": 28, "width": 28, "channels": 1, "activation": "relu", "latent": 16, "features": 8}
    arguments |= {"strides": [4], "encoder_blocks": 1, "decoder_blocks": 1}
    about = small_set("cifar10", 1) | {"architecture": "fast", "arguments": arguments}
    history = "epoch,val_psnr\n1,20.5\n2,21\n"
    small_model("cifar10-autoencoder", autoencoder.build("fast", arguments), about, history)
    monkeypatch.setattr(autoencoder, "PROBED", 40)
    autoencoder.draw(Path())
    drawn("autoencoder")


def test_the_dcgans_pictures_draw(workplace, monkeypatch):
    small_set("mnist", 1)
    small_set("anime", 3)
    features = Path("data/weights/digits/features.onnx")
    features.parent.mkdir(parents=True)
    shutil.copy(ROOT / "src/convzoo/weights/digits.onnx", features)
    write_json(features.with_name("weights.json"), {"files": {features.name: sha256_of(features)}})
    write_generator(Path("models"), "mnist-dcgan", classes=["0", "1"], conditional=True)
    monkeypatch.setattr(dcgan, "EPOCHS", 1)
    dcgan.draw(Path())
    drawn("dcgan")


def test_the_transfer_networks_pictures_draw(workplace, monkeypatch):
    arguments = {"side": 32, "classes": 4, "head": "linear", "dense": 8, "dropout": 0.0}
    about = small_set("flowers", 3) | {"architecture": "efficientnet-lite0", "arguments": arguments}
    body = transfer.build("efficientnet-lite0", arguments)
    history = "epoch,phase,train_accuracy,val_accuracy,train_loss,val_loss\n1,1,0.5,0.5,1,1\n2,2,0.6,0.5,1,1\n"
    small_model("flowers-transfer", body, about | {"weights": {"name": "efficientnet-lite0"}}, history)
    weights = Path("data/weights/efficientnet-lite0/weights.safetensors")
    weights.parent.mkdir(parents=True)
    save_file({name: value.contiguous() for name, value in body.backbone.state_dict().items()}, weights)
    monkeypatch.setattr(transfer, "MEASURED", 3)
    monkeypatch.setattr(transfer, "SIDE", 32)
    transfer.draw(Path())
    drawn("transfer")


def test_the_overview_draws_and_counts_as_the_evaluation_did(rebuilt, tmp_path, monkeypatch):
    monkeypatch.setitem(plots.STYLE, "savefig.dpi", 30)
    monkeypatch.chdir(rebuilt.folder)
    overview.draw(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["overview.png"]
    counts = overview.confusion_matrix(Path("models/mnist-classifier/plots/confusion.csv"))
    results = json.loads(Path("models/mnist-classifier/evaluation.json").read_text())
    assert counts.shape == (10, 10) and counts.sum() == results["test_images"]
    assert counts.trace() == round(results["test_accuracy"] * results["test_images"])


def test_the_structure_that_a_page_quotes_is_what_the_command_prints():
    command = "`convzoo structure resnet50` prints the blocks:"
    quoted = re.search(rf"{command}\n\n```text\n(.*?)```", page("transfer.md"), re.DOTALL)
    lines = structure("resnet50").splitlines()
    assert [line for line in quoted[1].splitlines() if line not in lines] == []


def test_without_trained_networks_the_command_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConvzooError, match="convzoo repro export@mnist-classifier"):
        lessons.draw("classifier")


def test_an_unknown_family_is_named():
    with pytest.raises(ConvzooError, match="transformer: no such figures"):
        lessons.draw("transformer")


def test_derivatives_are_those_of_the_functions():
    x = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    torch.testing.assert_close(slopes(torch.nn.Sigmoid(), x), x.sigmoid() * (1 - x.sigmoid()))
    torch.testing.assert_close(slopes(torch.nn.ReLU(), x), torch.tensor([0.0, 0.0, 1.0, 1.0]))


def test_a_walk_goes_downhill():
    split = shapes(80, 0)
    data = Data("shapes", list("abcd"), split, split, torch.tensor([0.2]), torch.tensor([0.3]))
    x, y = halves(data, 0, 1)

    def loss(place: np.ndarray) -> float:
        return torch.nn.functional.binary_cross_entropy_with_logits(x @ torch.from_numpy(place), y).item()

    for settings in PATHS.values():
        places = walk(x, y, (-4.0, -1.5), 20, settings)
        assert places.shape == (21, 2)
        assert loss(places[-1]) < loss(places[0])


def test_a_mosaic_keeps_every_map():
    maps = np.arange(5 * 4 * 3, dtype=np.float64).reshape(5, 4, 3)
    sheet = mosaic(maps, 2)
    assert sheet.shape == (3 * 5 - 1, 2 * 4 - 1)
    assert np.nansum(sheet) == maps.sum()


def test_a_packed_picture_looks_the_same(tmp_path):
    image = Image.fromarray(np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 4, 3, axis=2).repeat(64, axis=0))
    image.save(tmp_path / "a.png")
    pack(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as packed:
        assert (np.asarray(packed.convert("RGB")) == np.asarray(image)).all()
