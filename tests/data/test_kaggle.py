"""Data sets from Kaggle, through a stand-in for kagglehub with its signature."""

import json
import sys
import tarfile
from types import ModuleType, SimpleNamespace

import pytest
import requests

from convzoo.data.download import download
from convzoo.data.sources import kaggle
from convzoo.errors import ConvzooError
from convzoo.settings.sources import KaggleSource, Limits

SOURCE = KaggleSource(
    kind="kaggle",
    format="pictures",
    licence="CC0",
    homepage="https://www.kaggle.com/datasets/somebody/flowers",
    handle="somebody/flowers",
    version=3,
    layout="flowers/{class}/*.jpg",
    limits=Limits(files=10, bytes=1000, pixels=100),
)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A kagglehub whose cache holds version 3 of a set, or which raises `hub.error`."""
    cache = tmp_path / "cache/datasets/somebody/flowers/versions/3"
    for name in ("flowers/rose/1.jpg", "flowers/tulip/2.jpg", "readme.md"):
        (cache / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / name).write_bytes(name.encode())
    module = ModuleType("kagglehub")
    module.asked, module.error, module.cache = [], None, cache

    def dataset_download(handle, path=None, *, force_download=False, output_dir=None):
        module.asked.append((handle, path, force_download, output_dir))
        if module.error:
            raise module.error
        return str(cache)

    module.dataset_download = dataset_download
    monkeypatch.setitem(sys.modules, "kagglehub", module)
    return module


def answered(status):
    return requests.HTTPError(f"{status} Client Error.\n\nLook at URL", response=SimpleNamespace(status_code=status))


def test_one_version_is_packed_and_kagglehubs_copy_stays(hub, tmp_path):
    download("flowers-kaggle", SOURCE, tmp_path / "raw/flowers")
    assert hub.asked == [("somebody/flowers/versions/3", None, False, None)]
    with tarfile.open(tmp_path / "raw/flowers/pictures.tar") as archive:
        assert archive.getnames() == ["flowers/rose/1.jpg", "flowers/tulip/2.jpg"]
    assert (hub.cache / "flowers/rose/1.jpg").is_file() and (hub.cache / "readme.md").is_file()
    note = json.loads((tmp_path / "raw/flowers/source.json").read_text())
    assert list(note.pop("files")) == ["pictures.tar"]
    assert note == {
        "name": "flowers-kaggle",
        **{key: getattr(SOURCE, key) for key in ("kind", "format", "licence", "homepage", "handle", "version")},
        "layout": "flowers/{class}/*.jpg",
        "limits": {"files": 10, "bytes": 1000, "pixels": 100},
    }


def test_a_mirror_has_no_part_in_it(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("CONVZOO_MIRROR", str(tmp_path / "nowhere"))
    download("flowers-kaggle", SOURCE, tmp_path / "raw")
    assert len(hub.asked) == 1


def test_without_kagglehub_it_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(ConvzooError, match=r"somebody/flowers version 3: .*pip install -e \.\[kaggle\]"):
        kaggle.fetch(SOURCE, tmp_path)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (answered(404), r"no such data set or version \(404\); look at handle and version"),
        (answered(403), r"refuses the download \(403\); .*sign in"),
        (answered(401), r"refuses the download \(401\)"),
        (answered(500), r"cannot download it \(500 Client Error\. Look at URL\); run again"),
        (requests.ConnectionError("HTTPSConnectionPool(...)"), r"cannot be reached \(ConnectionError\)"),
        (requests.ReadTimeout("slow"), r"cannot be reached \(ReadTimeout\)"),
        (ValueError("Unsupported archive type."), r"cannot download it \(Unsupported archive type\.\)"),
        (KeyError(), r"cannot download it \(KeyError\)"),
    ],
)
def test_what_goes_wrong_is_one_line_with_handle_version_and_page(hub, tmp_path, error, message):
    hub.error = error
    with pytest.raises(ConvzooError, match=rf"^somebody/flowers version 3: .*{message}.*; its page is http") as caught:
        kaggle.fetch(SOURCE, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.tar")) == []


def test_a_set_with_more_than_the_limits_is_refused(hub, tmp_path):
    limits = SOURCE.limits.model_copy(update={"files": 1})
    with pytest.raises(ConvzooError, match=r"holds more pictures than limits\.files: 1"):
        kaggle.fetch(SOURCE.model_copy(update={"limits": limits}), tmp_path)
