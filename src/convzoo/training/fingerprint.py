"""The training fingerprint: everything that could change the weights, and the sha256 of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from convzoo.checks.code import stage_code
from convzoo.data.arrays import Split, digest
from convzoo.errors import ConvzooError
from convzoo.files import read_json


def fingerprint(
    params: dict[str, Any], compute: dict[str, Any], data: dict[str, str], parent: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The parts and their sha256: settings, what `compute` came to, data digests, code, versions, and if it was
    continued from the checkpoint of another training, that `parent`.

    Code and versions are those that the stage `check` writes for the stage `train` of this family.
    """
    code = stage_code("train", params["family"])
    parts = {
        "params": params,
        "compute": compute,
        "data": data,
        "code": code["modules"],
        "versions": code["versions"],
        **({"parent": parent} if parent else {}),
    }
    text = json.dumps(parts, sort_keys=True)
    return {"fingerprint": hashlib.sha256(text.encode()).hexdigest(), **parts}


def check_data(dataset: str, verdict: Path, splits: dict[str, Split]) -> dict[str, str]:
    """The digests of `splits`, which must be those of the verdict. Raises ConvzooError where they are not."""
    checked = read_json(verdict)
    found = {name: digest(split) for name, split in splits.items()}
    for name, value in found.items():
        if checked[name] != value:
            raise ConvzooError(
                f"{dataset}/{name} is not what was validated (sha256 {value[:12]}, the verdict says "
                f"{checked[name][:12]}); run: convzoo repro validate"
            )
    return {"name": dataset, **found}
