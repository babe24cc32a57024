"""How prepared images are stored: the settings, and the networks that take images in shards."""

import re

import pytest
from helpers.project import ROOT

from convzoo.errors import SettingsError
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all

PARAMS = (ROOT / "params.yaml").read_text()


def messages(tmp_path, dataset: str, old: str, new: str) -> list[str]:
    """What is said of params.yaml with a change in the block of a data set."""
    start = PARAMS.index(f"\n  {dataset}:\n    source:")
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS[:start] + PARAMS[start:].replace(old, new, 1))
    try:
        check_all(read_params(file))
    except SettingsError as error:
        return str(error).splitlines()
    return []


@pytest.mark.parametrize("dataset", ["mnist", "cifar10", "cifar100", "anime"])
def test_all_networks_but_transfer_networks_take_images_in_shards(tmp_path, dataset):
    assert messages(tmp_path, dataset, "storage: arrays", "storage: shards") == []


def test_a_transfer_network_takes_no_images_in_shards(tmp_path):
    [message] = messages(tmp_path, "flowers", "storage: arrays", "storage: shards")
    assert re.search(
        r"params.yaml:\d+: networks.flowers-transfer.data: got 'flowers', whose images are in shards, expected images "
        r"in arrays, because .* keeps the features of all images in memory; set data.flowers.prepare.storage to "
        r"arrays$",
        message,
    )


def test_other_values_are_named_with_what_they_may_be(tmp_path):
    for old, new, expected in (
        ("storage: arrays", "storage: tar", "storage: got 'tar', expected one of: arrays, shards"),
        ("bytes: 67108864", "bytes: 0", "shards.bytes: got 0, expected a whole number of at least 1"),
        ("window: 134217728", "size: 1", "shards.window: is missing; expected a whole number of at least 1"),
    ):
        assert any(line.endswith(f"data.mnist.prepare.{expected}") for line in messages(tmp_path, "mnist", old, new))
