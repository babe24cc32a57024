"""Profiles: params.yaml with the values of a profile, comments and layout as they were."""

import difflib
import re
from pathlib import Path

import pytest
import torch
from dvc.utils.hydra import apply_overrides
from helpers.project import ROOT

from convzoo.commands.profile import merged, profile_keys, profile_names, use_profile
from convzoo.errors import SettingsError
from convzoo.families.find import family_module
from convzoo.settings.load import read_params
from convzoo.settings.networks import family_of, network_settings
from convzoo.settings.whole import check_all

PARAMS = (ROOT / "params.yaml").read_text()
PROFILES = sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


def test_the_committed_params_are_the_profile_starter():
    assert merged(PARAMS, (ROOT / "profiles/starter.yaml").read_text(), "starter") == (PARAMS, [])


def test_all_profiles_set_the_same_keys():
    keys = {name: profile_keys((ROOT / f"profiles/{name}.yaml").read_text()) for name in PROFILES}
    assert PROFILES == ["compact", "cpu", "full", "starter", "test"]
    assert all(found == keys["starter"] for found in keys.values())


def built(settings, family: str, side: tuple[int, int, int], classes: int) -> torch.nn.Module:
    """The network whose file the gate weighs: for DCGANs the generator. Its weights have shapes but no memory."""
    meta = {"shape": list(side), "classes": [str(number) for number in range(classes)]}
    description = family_module(family, "train").describe(settings, meta)
    build = family_module(family, "network").build
    with torch.device("meta"):
        if family == "dcgan":
            return build(description["generator"], description["discriminator"])[0]
        return build(description["architecture"], description["arguments"])


@pytest.mark.parametrize("name", PROFILES)
def test_the_gate_of_a_profile_has_room_for_the_weights_of_its_networks(tmp_path, name):
    (tmp_path / "params.yaml").write_text(merged(PARAMS, (ROOT / f"profiles/{name}.yaml").read_text(), name)[0])
    params = read_params(tmp_path / "params.yaml")
    sets = {"mnist": ((28, 28, 1), 10), "cifar10": ((32, 32, 3), 10), "cifar100": ((32, 32, 3), 100)}
    sets["anime"] = ((64, 64, 3), 1)
    too_large = {}
    for network in params.values["networks"]:
        family = family_of(params, network)
        if family == "transfer":  # its weights are downloaded ones
            continue
        settings = network_settings(params, "networks", network)
        tensors = built(settings, family, *sets[settings.data]).state_dict().values()
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors) / 1e6
        ceiling = network_settings(params, "promotion", network).ceilings.file_size
        if size > ceiling:
            too_large[network] = (round(size, 1), ceiling)
    assert not too_large


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_going_round_all_profiles_and_back_gives_the_same_bytes(tmp_path, monkeypatch, newline):
    monkeypatch.chdir(tmp_path)
    text = PARAMS.replace("\n", newline).encode()
    Path("params.yaml").write_bytes(text)
    Path("profiles").symlink_to(ROOT / "profiles")
    seen = set()
    for name in [*profile_names(), "starter"]:
        use_profile(name)
        check_all(read_params())
        seen.add(Path("params.yaml").read_bytes())
    assert Path("params.yaml").read_bytes() == text
    assert not any(newline == "\r\n" and re.search(rb"[^\r]\n", each) for each in seen)
    assert len(seen) == len(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_dvc_changes_only_the_line_of_the_value_that_it_sets(tmp_path, name):
    before, _ = merged(PARAMS, (ROOT / f"profiles/{name}.yaml").read_text(), name)
    file = tmp_path / "params.yaml"
    file.write_text(before)
    apply_overrides(file, ["networks.mnist-classifier.learning_rate=0.0123"])  # as `dvc exp run --set-param` does
    changed = list(difflib.ndiff(before.splitlines(), file.read_text().splitlines()))
    added = [line[2:] for line in changed if line.startswith("+ ")]
    removed = [line for line in changed if line.startswith("- ")]
    assert (len(removed), added) == (1, ["    learning_rate: 0.0123"]), (
        "expected DVC's form; it writes a file in it: dvc.utils.hydra.apply_overrides(FILE, [])"
    )


@pytest.mark.parametrize(
    ("value", "other"),
    [
        ("rate: 0.1   # c", "rate: 0.25   # c"),
        ("rate:   # c", "rate: 0.25   # c"),
        ("rate: none   # c", "rate:   # c\n    - 1\n    - - 2"),
        ("rate:\n    - 1", "rate: [2]"),
        ("rate:\n    - 1", "rate:"),
        ("rate: none", "rate: \n      a-long-word"),
        ("rate: {a: \n      1}   # c", "rate: {a: 2}   # c"),
    ],
)
def test_a_value_takes_the_place_of_another_in_any_form(value, other):
    params, profile = (f"# top\nnet:\n  a:\n    {text}\n    last:\n# end\n" for text in (value, other))
    assert merged(params, profile, "p") == (profile, ["net.a.rate"])
    assert merged(profile, params, "p") == (params, ["net.a.rate"])


def test_a_profile_that_does_not_pass_leaves_params_as_they_were(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(PARAMS)
    Path("profiles").mkdir()
    Path("profiles/odd.yaml").write_text("networks:\n  mnist-classifier:\n    epochs: none\n")
    with pytest.raises(SettingsError, match=r"networks.mnist-classifier.epochs: got 'none'"):
        use_profile("odd")
    Path("profiles/odd.yaml").write_text("networks:\n  mnist-classifier:\n    epoch: 3\n")
    with pytest.raises(SettingsError, match=r"not in params\.yaml, expected one of its keys"):
        use_profile("odd")
    with pytest.raises(SettingsError, match="expected one of: odd"):
        use_profile("even")
    assert Path("params.yaml").read_text() == PARAMS
