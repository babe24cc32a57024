"""The commands on what `dvc repro` registered: a network of each family is promoted, listed, traced, and taken back."""

import json

import pytest
from helpers.project import convzoo, dvc, query

OF_EACH_FAMILY = {
    "mnist-classifier": "val accuracy",
    "cifar10-autoencoder": "val psnr",
    "mnist-dcgan": "latency of one input",  # the profile `test` asks no KID
    "flowers-transfer": "val accuracy",
}


@pytest.mark.parametrize(("network", "condition"), OF_EACH_FAMILY.items())
def test_what_the_pipeline_registered_becomes_the_champion(clone, network, condition):
    told = convzoo(clone, "promote", network)
    assert condition in told and "same test images" in told and f"{network}: version 1 promoted" in told
    (row,) = json.loads(convzoo(clone, "models", network, "--json"))
    assert (row["aliases"], row["promotion"]) == (["candidate", "champion"], "promoted")
    (line,) = (clone / "promotions.jsonl").read_text().splitlines()
    assert json.loads(line)["network"] == network
    assert query(clone, "SELECT alias, version FROM registered_model_aliases WHERE alias = 'champion'") == [
        ("champion", 1)
    ]


@pytest.mark.prove
def test_a_variant_is_held_against_the_champion_and_both_can_be_traced(clone):
    network = "mnist-classifier"
    output = convzoo(clone, "promote", network, "--dry-run", expected=3)
    assert "(dry run, nothing changed)" in output
    convzoo(clone, "promote", network)
    assert "version 1 is already the champion" in convzoo(clone, "promote", network)
    dvc(clone, "exp", "run", "-S", f"networks.{network}.learning_rate=1e-9", f"register@{network}")
    output = convzoo(clone, "promote", network, "--version", "2", expected=1)
    assert "val accuracy: gain over champion" in output and "version 2 refused" in output
    output = convzoo(clone, "promote", network, "--version", "2", "--force", expected=1)
    assert "--force: expected a reason" in output
    convzoo(clone, "promote", network, "--version", "2", "--force", "--reason", "to see what happens")
    compared = json.loads(convzoo(clone, "compare", f"{network}@champion", f"{network}@previous", "--json"))
    assert compared["params that differ"] == {"learning_rate": ["1e-09", "0.2"]}
    assert "version 1 is the champion again" in convzoo(clone, "rollback", network)
    for alias, number in (("champion", "1"), ("previous", "2")):
        assert json.loads(convzoo(clone, "trace", f"{network}@{alias}", "--json"))["version"]["version"] == number
    lines = [json.loads(line) for line in (clone / "promotions.jsonl").read_text().splitlines()]
    assert [line["what"] for line in lines] == ["promoted", "refused", "forced", "rolled back"]
