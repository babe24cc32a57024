"""The block `search` of params.yaml: names of settings, and values that they may have."""

import pytest
from helpers.project import ROOT

from convzoo.errors import SettingsError
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.settings.search import Range, searched_settings, with_values
from convzoo.settings.whole import check_all

PARAMS = read_params(ROOT / "params.yaml")
NETWORK = "mnist-classifier"


def complaint(block, network: str = NETWORK) -> str:
    """What is wrong with params.yaml with this block for a network in `search`."""
    params = PARAMS._replace(values=PARAMS.values | {"search": {network: block}})
    with pytest.raises(SettingsError) as raised:
        check_all(params)
    return str(raised.value).partition(": ")[2]


def numbers(low, high, log=False) -> dict:
    return {"low": low, "high": high, "log": log}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({}, "search.mnist-classifier: is empty, expected a setting"),
        ({"learning_rte": numbers(1, 2)}, "learning_rte: is no setting of this network; did you mean 'learning_rate'?"),
        ({"fast": {"choices": [1, 2]}}, "fast: is no setting of this network; expected one of: "),
        ({"seed": numbers(0, 9)}, "seed: cannot be searched; expected one of: architecture, "),
        ({"learning_rate": numbers(0.1, 0.1)}, "learning_rate: got low 0.1 and high 0.1, expected low below high"),
        ({"label_smoothing": numbers(0, 0.5, True)}, "label_smoothing: got low 0 with log: true, expected more than 0"),
        ({"learning_rate": numbers(-1, 1)}, "learning_rate.low: got -1, expected a number above 0"),
        ({"label_smoothing": numbers(0, 1)}, "label_smoothing.high: got 1, expected a number of at least 0 and"),
        ({"epochs": numbers(1, 2.5)}, "epochs.high: got 2.5, expected a whole number of at least 1"),
        ({"optimizer": numbers(1, 2)}, "optimizer: got a range, but this setting is no number; list values: choices"),
        ({"optimizer": {"choices": ["sgd", "adm"]}}, "optimizer.choices.1: got 'adm', expected one of: sgd, adam, "),
        ({"fast.widths": {"choices": [[8], [8, 0]]}}, "widths.choices.1: got [8, 0], in which 1: got 0, expected a"),
        ({"shift": {"choices": [1, 1]}}, "shift: choices: has a value twice"),
        ({"shift": {"choices": [1]}}, "shift.choices: got [1], expected a list ([...]) of 2 to any number of items"),
        ({"learning_rate": 3}, "learning_rate: got 3, expected a block with the keys low, high, log"),
        ({"learning_rate": {"low": 1, "high": 2}}, "learning_rate.log: is missing; expected true or false"),
    ],
)  # fmt: skip
def test_a_wrong_search_is_named_with_what_is_expected(block, problem):
    assert problem in complaint(block)


def test_a_network_that_is_not_there_is_named():
    assert complaint({"shift": numbers(0, 1)}, "none") == (
        "search.none: there is no network of this name; take it out, or give `networks` one"
    )


@pytest.mark.parametrize("network", PARAMS.values["search"])
def test_the_values_of_the_committed_searches_are_valid_one_by_one(network):
    for setting in searched_settings(PARAMS, network):
        ends = [setting.space.low, setting.space.high] if isinstance(setting.space, Range) else setting.space.choices
        for value in ends:
            value = int(value) if setting.is_whole else value
            params = with_values(PARAMS, network, {setting.path: value})
            check_all(params)
            settings = network_settings(params, "networks", network)
            for key in setting.path:
                settings = getattr(settings, key)
            assert settings == value
    check_all(PARAMS)


def test_other_values_leave_the_original_alone():
    changed = with_values(PARAMS, "flowers-transfer", {("finetune", "blocks"): 99, ("dropout",): 0.5})
    block, before = (params.values["networks"]["flowers-transfer"] for params in (changed, PARAMS))
    assert (block["finetune"]["blocks"], block["dropout"]) == (99, 0.5)
    assert before["finetune"]["blocks"] != 99 and before["dropout"] != 0.5
    assert block["features"] is before["features"]


def test_no_stage_depends_on_it():
    assert "search" not in (ROOT / "dvc.yaml").read_text()
