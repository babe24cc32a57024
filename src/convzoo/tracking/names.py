"""Names by which a person tells the runs of a network apart: what differs from the committed params.yaml."""

import json
import os
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from convzoo.lineage import commits

NAMED = 3  # differences in a name; the others are counted
OF_DATA = ("source", "prepare", "augment")  # the blocks of a data set that decide what a network sees


def run_name(network: str, changed: Mapping[str, Any], *more: str | None) -> str:
    """A run's name: network, what `changed`, and what else there is (commit, experiment)."""
    told = [f"{key}={_short(value)}" for key, value in changed.items()]
    if len(told) > NAMED:
        told[NAMED:] = [f"+{len(told) - NAMED} more"]
    return " ".join([network, *told, *filter(None, more)])


def changed_params(network: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `params` (params.yaml) that decide a training of `network` and are not those of the last commit.

    In an experiment of `dvc exp run` it is the baseline that counts. None where one of both has no such network.
    """
    before = committed_params()
    if any(network not in found.get("networks", {}) for found in (params, before)):
        return {}
    old = _deciding(before, network)
    chosen = params["networks"][network].get("architecture")
    return {key: value for key, value in _deciding(params, network, chosen).items() if old.get(key) != value}


def committed_params() -> dict[str, Any]:
    """params.yaml of the last commit, or of an experiment's baseline; empty where git has none that can be read."""
    text = commits.git("show", f"{os.environ.get('DVC_EXP_BASELINE_REV', 'HEAD')}:./params.yaml")
    try:
        found = YAML(typ="safe").load(text or "")
    except YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def flat(block: Mapping[str, Any], chosen: str | None = None) -> dict[str, Any]:
    """A block's values by dotted keys, without architectures other than the `chosen` one where that has a block."""
    alternatives = isinstance(block.get(chosen), Mapping)
    found = {}
    for key, value in block.items():
        if not isinstance(value, Mapping):
            found[key] = value
        elif key == chosen or not alternatives:
            found |= {f"{key}.{name}": inner for name, inner in value.items()}
    return found


def _deciding(params: Mapping[str, Any], network: str, chosen: str | None = None) -> dict[str, Any]:
    training = params["networks"][network]
    data = params.get("data", {}).get(training.get("data"), {})
    found = {"profile": params["profile"]} if "profile" in params else {}
    found |= flat(training, chosen) | flat(params.get("compute", {}))
    seen = flat({key: data[key] for key in OF_DATA if key in data})
    return found | {f"data.{key}": value for key, value in seen.items()}


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
