"""How runs are labelled: names, params and tags that tell a reader who trained what, and with which changes.

Imports no MLflow, so that a training can start without waiting for it.
"""

import getpass
import json
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from convzoo.lineage import commits
from convzoo.portable import processor

DIFFERENCES_NAMED = 3  # in the name of a run; the others are counted
UNCHANGED = "as committed"  # in the name of a run whose params do not differ from the commit
PATHS_NAMED = 20  # in the tag that lists uncommitted changes
DATA_BLOCKS = ("source", "prepare", "augment")  # the blocks of a data set that decide what a network is trained on


def run_name(differences: Mapping[str, Any], *more: str | None) -> str:
    """The name of a run: differences from the committed params, then `more` (experiment, commit).

    What differs comes first, because MLflow cuts long names. The experiment already names the network.
    """
    parts = [f"{key}={_short(value)}" for key, value in differences.items()]
    if len(parts) > DIFFERENCES_NAMED:
        parts[DIFFERENCES_NAMED:] = [f"+{len(parts) - DIFFERENCES_NAMED} more"]
    return " ".join([*(parts or [UNCHANGED]), *filter(None, more)])


def changed_params(network: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `params` (params.yaml) that decide a training of `network` and differ from the last commit.

    In an experiment of `dvc exp run` they are compared with its baseline. Empty if either side lacks the network.
    """
    committed = committed_params()
    if any(network not in side.get("networks", {}) for side in (params, committed)):
        return {}
    old = _training_params(committed, network)
    architecture = params["networks"][network].get("architecture")
    new = _training_params(params, network, architecture)
    return {key: value for key, value in new.items() if old.get(key) != value}


def committed_params() -> dict[str, Any]:
    """params.yaml of the last commit, or of an experiment's baseline; empty if git has none that can be read."""
    text = commits.git("show", f"{os.environ.get('DVC_EXP_BASELINE_REV', 'HEAD')}:./params.yaml")
    try:
        params = YAML(typ="safe").load(text or "")
    except YAMLError:
        return {}
    return params if isinstance(params, dict) else {}


def flat(block: Mapping[str, Any], architecture: str | None = None) -> dict[str, Any]:
    """A block's values by dotted keys; of blocks that are alternatives, only that of the chosen `architecture`."""
    has_alternatives = isinstance(block.get(architecture), Mapping)
    values = {}
    for key, value in block.items():
        if not isinstance(value, Mapping):
            values[key] = value
        elif key == architecture or not has_alternatives:
            values |= {f"{key}.{name}": inner for name, inner in value.items()}
    return values


def run_params(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The flat params of a run, from fingerprint.json: of the training and of the machine.

    The environment of portable trainings is not among them, since it is always the same, nor is how several processes
    train together, if there is one.
    """
    params = flat(identity["params"], identity["params"].get("architecture"))
    compute = {key: value for key, value in identity["compute"].items() if key not in {*params, "environment"}}
    if compute.get("devices") == compute.get("nodes") == 1:
        del compute["nodes"], compute["strategy"]
    return params | compute


def param_text(value: Any) -> str:
    """A value as params.yaml spells it."""
    return value if isinstance(value, str) else json.dumps(value)


def git_state() -> tuple[str | None, str]:
    """The commit, and what of params and code differs from it: `clean`, paths, or `unknown` without git."""
    commit, changed = commits.head(), commits.changes()
    if commit is None or changed is None:
        return None, "unknown"
    paths = [path for _, path in changed]
    more = f" and {len(paths) - PATHS_NAMED} more" if len(paths) > PATHS_NAMED else ""
    return commit, ", ".join(paths[:PATHS_NAMED]) + more if paths else "clean"


def origin() -> dict[str, str]:
    """Tags for the user, the machine, the script, and the command as in `command_tags`."""
    tags = {
        "mlflow.user": user_name(),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.type": "LOCAL",
        "convzoo.machine": f"{platform.node()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "convzoo.processor": processor(),
    }
    return tags | command_tags()


def user_name() -> str:
    """The user's name in the system."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def command_tags() -> dict[str, str]:
    """Tags for the command that made a run: `dvc repro` or `dvc exp run` with name and baseline, and its stage."""
    stage, experiment = os.environ.get("DVC_STAGE"), os.environ.get("DVC_EXP_NAME")
    baseline = os.environ.get("DVC_EXP_BASELINE_REV")
    command = "dvc repro" if stage else "by hand, without DVC"
    if experiment:
        command = f"dvc exp run, experiment {experiment} on {(baseline or 'unknown')[:7]}"
    tags = {
        "convzoo.made_by": command,
        "convzoo.stage": stage,
        "convzoo.dvc_experiment": experiment,
        "convzoo.dvc_baseline": baseline,
    }
    return {key: value for key, value in tags.items() if value}


def _training_params(params: Mapping[str, Any], network: str, architecture: str | None = None) -> dict[str, Any]:
    training = params["networks"][network]
    data = params.get("data", {}).get(training.get("data"), {})
    values = {"profile": params["profile"]} if "profile" in params else {}
    values |= flat(training, architecture) | flat(params.get("compute", {}))
    blocks = flat({key: data[key] for key in DATA_BLOCKS if key in data})
    return values | {f"data.{key}": value for key, value in blocks.items()}


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
