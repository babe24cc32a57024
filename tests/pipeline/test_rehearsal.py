"""The profiles `full` and `cpu` from download to report, without the internet and on few images (make rehearse).

The archives have the published forms; their pixels come from CONVZOO_MIRROR if it is set, otherwise they are drawn. A
server on loopback has them at the published paths, and so ResNet-50 with random weights in place of ImageNet's. In
params.yaml, the hosts of the addresses and the archives' sizes and checksums are replaced, and the networks are those
of the profile `test`. For Kaggle's sources, which no profile uses, the package kagglehub is replaced at its one call.
"""

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.project import ROOT, commit, convzoo, copy_project, dvc, query, ran
from helpers.published_archives import pixels, write_archives
from helpers.published_server import publish, published_server
from ruamel.yaml import YAML
from torchvision.models import ResNet50_Weights, resnet50

from convzoo.report.report import SYNTHETIC
from convzoo.settings.load import read_params

pytestmark = pytest.mark.rehearse

PARAMS = read_params(ROOT / "params.yaml").values
NETWORKS, DATASETS = list(PARAMS["networks"]), list(PARAMS["data"])
TEST = YAML(typ="safe").load(ROOT / "profiles/test.yaml")
MIRROR = os.environ.get("CONVZOO_MIRROR")
FEW = {"train": 50, "val": 5, "test": 10}  # images of each set, at least
# In place of the package: what convzoo calls of it, and the folders of data sets that it would have downloaded.
KAGGLEHUB = """
from pathlib import Path

def dataset_download(handle):
    return str(Path({folder!r}, {{"soumikrakshit": "anime", "alxmamaev": "flowers"}}[handle.split("/")[0]] + "-kaggle"))
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone; a function that runs DVC on a profile at small settings there; the archives' server and folder."""
    folder = tmp_path_factory.mktemp("rehearsal")
    sets = pixels(Path(ROOT, MIRROR) if MIRROR else None, folder / "drawn")
    write_archives(folder / "published", sets)
    project = copy_project(folder / "clone")
    (project / "src/kagglehub.py").write_text(KAGGLEHUB.format(folder=str(folder / "published")))
    commit(project, "kagglehub is replaced")
    counts = {name: [len(split.labels) for split in splits] for name, splits in sets.items()}
    print(f"\nimages: {'of the mirror' if MIRROR else 'drawn'}, {counts}")
    with published_server() as server:

        def repro(profile: str, *targets: str, change: Callable[[dict[str, Any]], None] = lambda params: None) -> str:
            began = time.monotonic()
            shutil.copy(ROOT / "params.yaml", project)  # without the changes of an earlier call
            convzoo(project, "profile", profile)
            yaml = YAML()
            params = yaml.load(project / "params.yaml")
            for source in {block["source"] for block in params["data"].values()}:
                publish(server, params["sources"][source], folder / "published" / source)
            weights = dict(params["weights"]["resnet50"])
            if weights["kind"] == "torchvision":
                params["weights"]["resnet50"] = weights | {"url": publish_resnet50(server)}
            shrink(params)
            change(params)
            yaml.dump(params, project / "params.yaml")
            output = dvc(project, "repro", *targets, timeout=3600, CONVZOO_MIRROR="", NO_PROXY="127.0.0.1")
            print(f"{profile}: {len(ran(output))} stages in {time.monotonic() - began:.0f} s")
            return output

        yield project, repro, server


def publish_resnet50(server: Any) -> str:
    """Put random weights where torchvision has ImageNet's; the name ends with digits of the file's sha256, as there."""
    torch.manual_seed(0)
    stream = io.BytesIO()
    torch.save(resnet50().state_dict(), stream)
    published = ResNet50_Weights.IMAGENET1K_V2.url
    digits = hashlib.sha256(stream.getvalue()).hexdigest()[:8]
    path = f"/{published.split('/', 3)[3].rpartition('-')[0]}-{digits}.pth"
    server.files[path] = stream.getvalue()
    return server.address + path


def shrink(params: dict[str, Any]) -> None:
    """The networks of the profile `test` for one epoch each, and as many images as the archives have."""
    weights = params["networks"]["flowers-transfer"]["weights"]
    for section in ("compute", "networks", "export", "evaluation"):
        update(params[section], TEST[section])
    params["networks"]["flowers-transfer"] |= {"weights": weights, "side": 128}  # half the photos' side, at least
    for network in params["networks"].values():
        for block in (network, network.get("features", {}), network.get("finetune", {})):
            if isinstance(block, dict) and "epochs" in block:
                block["epochs"] = 1
    for block in params["data"].values():
        block["validate"]["min_images"] = dict(FEW)


def update(block: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, dict):
            update(block[key], value)
        else:
            block[key] = value


def check_results(project: Path) -> dict[str, dict]:
    """Every network is registered, and every data set real as far as report and files tell; each set's meta.json."""
    report = (project / "reports/index.html").read_text()
    assert SYNTHETIC not in report
    versions = candidates(project)
    for network in NETWORKS:
        assert network in versions
        assert f"network-{network}-title" in report
    meta = {name: json.loads((project / f"data/prepared/{name}/meta.json").read_text()) for name in DATASETS}
    for name in DATASETS:
        assert f"data-{name}-title" in report and meta[name]["source"]["name"] == f"{name}-published"
    return meta


def candidates(project: Path) -> dict[str, int]:
    """The version of each network that has the alias `candidate`."""
    return dict(query(project, "SELECT name, version FROM registered_model_aliases WHERE alias = 'candidate'"))


def backbone_of(project: Path) -> str:
    return json.loads((project / "models/flowers-transfer/architecture.json").read_text())["architecture"]


def test_full_runs_from_the_published_archives_to_the_report(clone):
    project, repro, server = clone
    output = repro("full")
    stages = [stage.partition("@")[0] for stage in ran(output)]
    assert stages.count("download") == len(DATASETS) and stages.count("register") == len(NETWORKS)
    assert all(server.asked[path] >= 2 for path in server.files), "each file broke off once and was completed"
    meta = check_results(project)
    counts = meta["anime"]["counts"]
    assert counts["duplicates_dropped"] >= counts["read"] / 2, "every face is there twice"
    assert len(meta["cifar100"]["superclasses"]) == 20
    assert (backbone_of(project), candidates(project)["flowers-transfer"]) == ("resnet50", 1)


def test_cpu_needs_no_other_download_and_another_backbone(clone):
    project, repro, server = clone
    before = server.asked.copy()
    stages = ran(repro("cpu"))
    assert server.asked == before
    assert not [stage for stage in stages if stage.startswith(("download", "prepare"))]
    assert {"train@flowers-transfer", "register@flowers-transfer", "report"} <= set(stages)
    check_results(project)
    assert (backbone_of(project), candidates(project)["flowers-transfer"]) == ("efficientnet-lite0", 2)


def test_kaggles_folders_give_the_same_faces_and_flowers(clone):
    project, repro, _ = clone
    published = {name: digests(project, name) for name in ("anime", "flowers")}

    def from_kaggle(params):
        for name in published:
            params["data"][name]["source"] = f"{name}-kaggle"

    stages = ran(repro("cpu", "validate", change=from_kaggle))
    assert {"download@anime", "download@flowers", "validate"} <= set(stages)
    assert {name: digests(project, name) for name in published} == published
    meta = json.loads((project / "data/prepared/flowers/meta.json").read_text())
    assert meta["counts"]["not_in_layout"] == meta["counts"]["read"], "the nested copy"


def digests(project: Path, dataset: str) -> list[str]:
    """The sha256 of the images of all splits, sorted."""
    splits = ("train", "val", "test")
    rows = [
        (project / f"data/prepared/{dataset}/{split}/manifest.csv").read_text().splitlines()[1:] for split in splits
    ]
    return sorted(row.split(",")[1] for row in chain(*rows))
