"""The published archives of the profiles `full` and `cpu`, from the server to the arrays, with few and drawn images.

`make rehearse` runs the whole pipeline on them. For Kaggle's sources, the module kagglehub is replaced at its one call.
"""

import hashlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers.project import ROOT
from helpers.published_archives import CIFAR_10, COARSE, COARSE_OF_FINE, FINE, FLOWERS, pixels, write_archives
from helpers.published_server import publish, published_server
from helpers.raw_sets import SPLITS, prepared
from ruamel.yaml import YAML

from convzoo.commands.profile import merged
from convzoo.data.download import download
from convzoo.data.prepare import prepare
from convzoo.settings.data import prepare_settings
from convzoo.settings.load import read_params
from convzoo.settings.sources import source_settings

NAMES = {
    "mnist-published": [str(digit) for digit in range(10)],
    "cifar10-published": CIFAR_10,
    "cifar100-published": FINE,
    "anime-published": [],
    "anime-kaggle": [],
    "flowers-published": FLOWERS,
    "flowers-kaggle": [kind.removesuffix("s") for kind in FLOWERS],
}


def params_of(profile):
    text, _ = merged(
        (ROOT / "params.yaml").read_text(), (ROOT / f"profiles/{profile}.yaml").read_text(), f"{profile}.yaml"
    )
    return YAML(typ="safe").load(text)


PARAMS = {profile: params_of(profile) for profile in ("full", "cpu")}
# Each source with a block that prepares it; the profiles have the same blocks for most.
CASES = {
    (dataset, block["source"], str(block["prepare"])): profile
    for profile, params in PARAMS.items()
    for dataset, block in params["data"].items()
}
CASES |= {
    (dataset, f"{dataset}-kaggle", str(PARAMS["cpu"]["data"][dataset]["prepare"])): "cpu"
    for dataset in ("anime", "flowers")
}


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """The pixels of each set, and the folder of the archives that were made of them."""
    folder = tmp_path_factory.mktemp("archives")
    sets = pixels(None, folder / "drawn")
    write_archives(folder / "published", sets)
    return sets, folder / "published"


@pytest.fixture
def kagglehub(archives, monkeypatch):
    """Its one call that convzoo makes, which returns the folder of a data set in its cache."""
    module = ModuleType("kagglehub")
    module.dataset_download = lambda handle: str(
        archives[1] / {"soumikrakshit/anime-faces/versions/1": "anime-kaggle"}.get(handle, "flowers-kaggle")
    )
    monkeypatch.setitem(sys.modules, "kagglehub", module)


@pytest.mark.usefixtures("kagglehub")
@pytest.mark.parametrize(("dataset", "source", "profile"), [(*case[:2], profile) for case, profile in CASES.items()])
def test_a_published_archive_becomes_the_arrays_of_its_pixels(
    archives, tmp_path, monkeypatch, dataset, source, profile
):
    sets, folder = archives
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("CONVZOO_MIRROR", raising=False)
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text()) | {"data": PARAMS[profile]["data"]}
    with published_server() as server:
        if "files" in params["sources"][source]:
            publish(server, params["sources"][source], folder / source)
        with Path("params.yaml").open("w") as stream:
            YAML(typ="safe").dump(params, stream)
        download(source, source_settings(read_params(), source), Path("raw"))
        assert all(server.asked[path] == 2 for path in server.files), "cut once, and resumed"
    counts = prepare(dataset, prepare_settings(read_params(), dataset), Path("raw"), Path("out"))
    splits, meta = prepared(Path("out"))

    count = sum(len(split.labels) for split in sets[dataset])
    copies = count if dataset == "anime" else 0
    assert (counts["read"], counts["duplicates_dropped"]) == (count + copies, copies)
    assert counts.get("not_in_layout", 0) == {"flowers-published": 1, "flowers-kaggle": count}.get(source, 0)
    assert meta["classes"] == NAMES[source]
    if dataset == "cifar100":
        assert (meta["superclasses"], meta["superclass_of"]) == (COARSE, COARSE_OF_FINE)
    published = len(sets[dataset]) == 2
    assert counts["test"] == (len(sets[dataset][1].labels) if published else round(count * 0.2))
    labels = np.concatenate([splits[split][1] for split in SPLITS])
    assert np.array_equal(np.sort(labels), np.sort(np.concatenate([split.labels for split in sets[dataset]])))
    if dataset == "flowers":  # JPEG changed the pixels
        assert splits["train"][0].shape[1:] == (224, 224, 3)
        return
    expected = {digest(image): label for split in sets[dataset] for image, label in zip(*split, strict=True)}
    found = {digest(image): label for split in SPLITS for image, label in zip(*splits[split][:2], strict=True)}
    assert found == expected


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()
