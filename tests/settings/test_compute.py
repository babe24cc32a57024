"""The block `compute`: several processes, and what rules them out."""

import pytest
from helpers.project import ROOT

from convzoo.errors import SettingsError
from convzoo.settings.load import read_params
from convzoo.settings.whole import check_all

PARAMS = (ROOT / "params.yaml").read_text()
MISTAKES = [
    ("nodes: 1", "nodes: 2", "compute.nodes: got 2, expected 1 with portable: true; set it, or set portable: false"),
    ("strategy: auto", "strategy: ddp", "compute.strategy: got 'ddp', expected auto with portable: true"),
    ("strategy: auto", "strategy: fsdp", "compute.strategy: got 'fsdp', expected one of: auto, ddp"),
]


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_a_setting_of_several_processes_is_refused_where_it_cannot_be(tmp_path, old, new, expected):
    assert old in PARAMS
    (tmp_path / "params.yaml").write_text(PARAMS.replace(old, new, 1))
    with pytest.raises(SettingsError) as raised:
        check_all(read_params(tmp_path / "params.yaml"))
    assert expected in str(raised.value)


def test_processes_that_cannot_share_a_batch_evenly_are_named_with_each_batch_size(tmp_path):
    text = PARAMS.replace("devices: 1 ", "devices: 3 ").replace("nodes: 1 ", "nodes: 2 ")
    (tmp_path / "params.yaml").write_text(text.replace("portable: true ", "portable: false "))
    with pytest.raises(SettingsError) as raised:
        check_all(read_params(tmp_path / "params.yaml"))
    expected = "expected a multiple of 6, the number of processes (compute.devices times compute.nodes); set it to"
    assert f"networks.mnist-classifier.batch_size: got 250, {expected} 252, or change those" in str(raised.value)
    assert f"networks.flowers-transfer.finetune.batch_size: got 50, {expected} 54," in str(raised.value)


def test_several_processes_need_another_device_than_mps(tmp_path):
    text = PARAMS.replace("device: auto ", "device: mps ").replace("portable: true ", "portable: false ")
    file = tmp_path / "params.yaml"
    file.write_text(text)
    check_all(read_params(file))
    for key, value in (("devices: 1 ", "devices: 2 "), ("nodes: 1 ", "nodes: 2 "), ("gy: auto ", "gy: ddp ")):
        file.write_text(text.replace(key, value))
        with pytest.raises(SettingsError, match=r"compute\.device: got mps, expected auto, cpu or cuda for several"):
            check_all(read_params(file))
