"""The training fingerprint: everything that could change the weights, and the sha256 of it."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from convzoo.data.arrays import Split, digest
from convzoo.errors import ConvzooError
from convzoo.files import read_json, sha256_of

VERSIONS = Path("data/versions.json")


def fingerprint(params: dict[str, Any], compute: dict[str, Any], data: dict[str, str]) -> dict[str, Any]:
    """The parts and their sha256: settings, what `compute` came to, data digests, loaded code, versions."""
    parts = {
        "params": params,
        "compute": compute,
        "data": data,
        "code": _loaded_code(),
        "versions": read_json(VERSIONS),
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
                f"{checked[name][:12]}); run: dvc repro validate"
            )
    return {"name": dataset, **found}


def _loaded_code() -> dict[str, str]:
    package = Path(__file__).parents[1]
    found = {}
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.split(".")[0] == "convzoo" and not name.startswith("convzoo.tracking") and file:
            found[Path(file).relative_to(package.parent).as_posix()] = sha256_of(Path(file))
    return found
