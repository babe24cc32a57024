"""Mistakes that concern all blocks of a network: one line each."""

from pathlib import Path

import pytest
from helpers.project import ROOT

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, read_params
from convzoo.settings.whole import check_all

NETWORKS = read_params(ROOT / "params.yaml").values["networks"]


def mistakes(change) -> list[str]:
    """The lines about params.yaml after a change of its values."""
    params = read_params(ROOT / "params.yaml")
    change(params.values)
    with pytest.raises(SettingsError) as caught:
        check_all(Params(Path("params.yaml"), params.values, params.lines))
    return [line.partition(": ")[2] for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("network", NETWORKS)
def test_another_family_is_one_line_that_names_the_family_of_the_keys(network):
    own = NETWORKS[network]["family"]
    for family in sorted({block["family"] for block in NETWORKS.values()} - {own}):
        assert mistakes(lambda values, family=family: values["networks"][network].update(family=family)) == [
            f"networks.{network}.family: got '{family}', but the keys of this block belong to the family {own}; set it "
            f"to {own}, or copy the blocks of a network of the family {family}"
        ]


def test_a_missing_block_is_not_taken_for_that_of_another_network():
    missing = "export.mnist-classifier: is missing; "
    expected = "expected a block for the network of this name"
    assert mistakes(lambda values: values["export"].pop("mnist-classifier")) == [missing + expected]

    def misspell(values: dict) -> None:
        values["export"]["mnist-clasifier"] = values["export"].pop("mnist-classifier")

    assert mistakes(misspell) == [
        f"{missing}did you mean 'mnist-clasifier'? {expected}",
        "export.mnist-clasifier: there is no network of this name; take it out, or give `networks` one",
    ]
