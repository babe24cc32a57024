"""DVC's links: with `cache.type symlink` the files in models/ are links into its cache, named by their md5."""

from pathlib import Path

import pytest
from helpers.registered import candidate_of, stored_file, versions_of

from convzoo.files import sha256_of
from convzoo.tracking.registry import register
from convzoo.tracking.versions import find_model


@pytest.mark.parametrize("make_link", [Path.symlink_to, Path.hardlink_to], ids=["symlink", "hardlink"])
def test_a_network_whose_files_are_links_is_registered_like_any_other(project, write_network, make_link, tmp_path):
    network = f"linked-{make_link.__name__.partition('_')[0]}"
    write_network(network, 1)
    for number, file in enumerate(sorted(file for file in Path("models", network).rglob("*") if file.is_file())):
        cached = file.replace(tmp_path / f"{number:032x}")
        make_link(file, cached)
    assert "version 1 registered, alias candidate" in register(network)
    assert candidate_of(network) == 1
    assert sha256_of(stored_file(versions_of(network)[0])) == sha256_of(Path("models", network, "model.onnx"))
    assert sha256_of(find_model(network).file) == sha256_of(Path("models", network, "model.onnx"))
    assert "already registered as version 1" in register(network)
