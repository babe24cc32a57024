"""What identifies a training of any family, and that it trains on the data which are part of that."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.loops import Backbone, noise
from helpers.small import COMPUTE
from helpers.small.family import Family
from safetensors.torch import load_file

from convzoo.data.arrays import Split, digest, load_split
from convzoo.data.batches import ImageSet
from convzoo.data.pixels import to_floats
from convzoo.errors import ConvzooError
from convzoo.families.find import family_module
from convzoo.families.transfer import features
from convzoo.families.transfer.network import Transfer
from convzoo.files import sha256_of, write_json
from convzoo.training import machine
from convzoo.training.fingerprint import check_data

SPLITS = ("train", "augmented", "val")


@pytest.fixture
def start(family, project, monkeypatch):
    """Start the training, stop it in its loop, and return what the loop was called with."""
    module, seen = family_module(family.name, "train"), []

    class StoppedError(Exception):
        pass

    def loop(*arguments):
        seen.append(list(arguments))
        raise StoppedError

    def started(**changes) -> list[Any]:
        with pytest.raises(StoppedError):
            family.train(**changes)
        return seen[-1]

    for name, stub in (("fit", loop), ("fit_head", loop), ("cached_features", lambda *arguments: arguments[3])):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, stub)
    return started


def folder_of(family: Family, split: str) -> Path:
    return Path("data/augmented", family.settings().data) if split == "augmented" else family.prepared / split


def test_the_loop_gets_the_splits_that_were_validated(family, start):
    arguments = start(**{"stored_variants": True} if family.name == "dcgan" else {})
    train, augmented, val = (load_split(folder_of(family, split)) for split in SPLITS)
    if family.name == "transfer":
        features, data = arguments[3:5]
        assert (features["train"], features["val"]) == (data.variants, data.val)
        assert_holds(data.train, [train])
        sets = [data.variants, data.val]
    else:
        sets = [part for part in arguments if isinstance(part, ImageSet)]
    assert_holds(sets[0], [train, augmented])
    if family.name == "dcgan":
        assert_holds(start()[3], [train])
        real, network = arguments[4:6]
        assert np.array_equal(real, network(val.images[np.linspace(0, len(val.images) - 1, 20).astype(int)]))
    else:
        assert_holds(sets[1], [val])


def assert_holds(images: ImageSet, splits: list[Split]) -> None:
    """In order, and taken in any order."""
    held = np.concatenate([split.images for split in splits])
    assert np.array_equal(images.labels, np.concatenate([split.labels for split in splits]))
    index = torch.randperm(len(held))
    assert len(images) == len(held)
    assert np.array_equal(images.take(index), held[index])


# What can change the weights besides the settings: files that a training reads.
FILES = {
    "dcgan": {"features_sha256": "digits/features.onnx"},
    "transfer": {"weights_sha256": "efficientnet-lite0/weights.safetensors"},
}


def test_a_fingerprint_is_the_sha256_of_all_that_can_change_the_weights(family, start):
    state = start(seed=3)[-1]
    identity = dict(state.run.identity)
    fingerprint = identity.pop("fingerprint")
    assert fingerprint == hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    assert state.checkpoints.folder.name == f"{family.network}-{fingerprint[:16]}"
    assert set(identity) == {"params", "compute", "data", "code", "versions"}
    settings = family.settings(seed=3).model_dump()
    files = {key: sha256_of(Path("data/weights", file)) for key, file in FILES.get(family.name, {}).items()}
    backbone = {"architecture": "efficientnet-lite0"} if family.name == "transfer" else {}
    assert identity["params"] == settings | files | backbone
    assert identity["compute"] == COMPUTE.model_dump() | {"strategy": "single_device"}
    digests = {split: digest(load_split(folder_of(family, split))) for split in SPLITS}
    assert identity["data"] == {"name": settings["data"], **digests}
    assert {"torch", "numpy"} <= set(identity["versions"])
    assert identity["versions"] == {package: version(package) for package in identity["versions"]}
    code = {f"src/convzoo/families/{family.name}/{name}.py" for name in ("train", "network", "settings")}
    assert code | {"src/convzoo/data/batches.py", "src/convzoo/training/state.py"} <= set(identity["code"])
    assert all(len(sha256) == 64 for sha256 in identity["code"].values())


def test_a_digest_changes_with_every_pixel_label_and_shape():
    split = noise(3)
    images, labels = split
    pixel, label = images.copy(), labels.copy()
    pixel[2, 7, 7, 2] ^= 1
    label[2] ^= 1
    others = [Split(pixel, labels), Split(images, label), Split(images[:2], labels[:2])]
    others += [Split(images[::-1], labels), Split(images.reshape(3, 4, 16, 3), labels)]
    assert digest(split) == digest(Split(images.copy(), labels.copy()))
    assert len({digest(split), *map(digest, others)}) == 6


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_that_is_not_the_validated_one_is_refused(tmp_path, split):
    splits = {name: noise(3, seed=number) for number, name in enumerate(SPLITS)}
    digests = {name: digest(part) for name, part in splits.items()}
    write_json(tmp_path / "verdict.json", digests)
    assert check_data("noise", tmp_path / "verdict.json", splits) == {"name": "noise", **digests}
    splits[split].labels[0] += 1
    with pytest.raises(ConvzooError, match=rf"noise/{split} is not what was validated .* run: convzoo repro validate"):
        check_data("noise", tmp_path / "verdict.json", splits)


IDENTITY = {
    "params": {"architecture": "resnet50", "weights_sha256": "1", "side": 8, "seed": 0},
    **{"data": {"train": "1"}, "compute": {"device": "cpu"}, "versions": {"torch": "1"}},
}
OTHER = {
    **{name: {"params": IDENTITY["params"] | {name: "2"}} for name in ("architecture", "weights_sha256", "side")},
    **{name: {name: {"a": "2"}} for name in ("data", "compute", "versions")},
}


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Return the features of a network and of images, from a cache in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    fabric = machine.start(COMPUTE, 0)
    scale = (torch.full((3,), 0.2), torch.full((3,), 0.3))

    def features_of(network: Transfer, images: Split, name: str = "net", **identity) -> torch.Tensor:
        sets = {"train": ImageSet([images], fabric.device)}
        [found] = features.cached_features(name, network, fabric, sets, scale, IDENTITY | identity).values()
        return found

    yield features_of
    torch.use_deterministic_algorithms(False)


def network() -> Transfer:
    """One whose norms have other statistics than those of a batch."""
    made = Transfer(Backbone(), 8, 4, "linear", 8, 0.0)
    with torch.no_grad():
        made.backbone(torch.rand(20, 3, 8, 8))
    return made.train()


def expected(made: Transfer, images: Split) -> torch.Tensor:
    x = to_floats(torch.from_numpy(images.images), torch.full((3,), 0.2), torch.full((3,), 0.3))
    with torch.no_grad():
        return made.backbone.eval()(x)


def test_cached_features_are_those_of_the_backbone_in_evaluation_mode(cached):
    made, images = network(), noise(53)
    torch.testing.assert_close(cached(made, images), expected(made, images))


@pytest.mark.parametrize("part", OTHER)
def test_features_are_computed_again_if_anything_they_depend_on_differs(cached, part):
    first, images, second, others = network(), noise(5), network(), noise(5, seed=1)
    kept = cached(first, images)
    assert torch.equal(cached(second, others), kept), "the same identity"
    params = {"params": IDENTITY["params"] | {"seed": 1, "epochs": 9}}
    assert torch.equal(cached(second, others, **params), kept), "settings of the head"
    torch.testing.assert_close(cached(second, others, **OTHER[part]), expected(second, others))


def test_features_are_computed_again_if_their_code_differs(cached, monkeypatch):
    package, images = Path(features.__file__).parents[2], noise(5)
    code = {Path(file).relative_to(package).as_posix() for file in features.CODE}
    assert {"families/transfer/network.py", "data/pixels.py", "weights/backbones.py"} <= code
    for changed in ("", *features.CODE):
        monkeypatch.setattr(features, "sha256_of", lambda file, changed=changed: str(str(file) == changed))
        torch.testing.assert_close(cached(made := network(), images), expected(made, images))
        assert torch.equal(cached(network(), images), expected(made, images)), "the same code"


def test_a_file_of_features_that_is_cut_short_is_written_again_and_one_is_kept_of_each_network(cached):
    images = noise(5)
    cached(network(), images, name="other")
    cached(network(), images)
    cached(network(), images, **OTHER["data"])
    [file] = Path(".features").glob("net-*")
    file.write_bytes(file.read_bytes()[:-10])
    torch.testing.assert_close(cached(made := network(), images, **OTHER["data"]), expected(made, images))
    assert len(load_file(file)["train"]) == 5
    assert len(list(Path(".features").iterdir())) == 2
