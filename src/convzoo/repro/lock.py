"""What a run changed in dvc.lock, and why."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convzoo.checks.code import CODE
from convzoo.errors import ConvzooError
from convzoo.files import read_json
from convzoo.portable import processor
from convzoo.text import first_names

NEW, SETTINGS, OWN_FILES = "new stages", "other settings", "other files in your folders"
OTHER_CODE = "other code or package versions"  # if the file in data/code that differed is no longer in DVC's cache
PARTS = {"modules": "other code", "versions": "other package versions", "settings": SETTINGS}  # of such a file
NEW_DATA = "new data sets"
OF_OWN_FILES = ("source-", "file-")  # how the files in data/code begin that digest files of the user's
CACHE = Path(".dvc/cache/files/md5")
OTHER_RESULTS = "other results of the same settings, code, package versions and data"
DEVICES, PRECISIONS = ("cpu", "cuda", "mps"), ("fp32", "bf16")
DOCUMENT = "docs/reproducibility.md"


def changed_stages(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """The stages with another entry in dvc.lock, by the reason.

    Left out are those whose deps alone changed, and which follow from others, and those that run every time.
    """
    reasons: dict[str, list[str]] = {}
    for name, entry in after.items():
        if entry.get("deps") and entry != before.get(name) and (reason := reason_of(before.get(name), entry)):
            reasons.setdefault(reason, []).append(name)
    return reasons


def reason_of(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str | None:
    """Why a stage has another entry; None if only its deps differ, which follows from other stages."""
    if before is None:
        return NEW
    if any(before.get(key) != after.get(key) for key in ("cmd", "params")):
        return SETTINGS
    old, new = _md5s(before, "deps"), _md5s(after, "deps")
    differing = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    digests = [path for path in sorted(differing) if Path(path).is_relative_to(CODE)]
    if digests:
        reasons = [reason for path in digests for reason in _of_digests(path, old.get(path), new.get(path))]
        return " and ".join(dict.fromkeys(reasons))
    return None if differing else OTHER_RESULTS


def _of_digests(path: str, old: str | None, new: str | None) -> list[str]:
    """Why a file in data/code changed, from both of its contents in DVC's cache."""
    if Path(path).name.startswith(OF_OWN_FILES):
        return [OWN_FILES]
    before, after = _cached(old), _cached(new)
    parts = [part for part in PARTS if before.get(part) != after.get(part)] if before and after else []
    if not parts:
        return [OTHER_CODE]
    earlier, now = before.get("settings", {}), after.get("settings", {})
    only_new = all(now.get(key) == value for key, value in earlier.items())
    return [NEW_DATA if part == "settings" and only_new else PARTS[part] for part in parts]


def _cached(md5: str | None) -> dict[str, Any]:
    """The content of a JSON file by its md5; empty if DVC's cache does not have it, or is elsewhere."""
    try:
        return read_json(CACHE / md5[:2] / md5[2:]) if md5 else {}
    except (OSError, ValueError, ConvzooError):
        return {}


def explained(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """A line for each reason why dvc.lock changed, and lines about results that changed although nothing else did."""
    reasons = changed_stages(before, after)
    lines = [f"{reason}: {_named(names)}" for reason, names in sorted(reasons.items()) if reason != OTHER_RESULTS]
    if OTHER_RESULTS in reasons:
        names = reasons[OTHER_RESULTS]
        lines.append(f"{OTHER_RESULTS}: {_named(names)}")
        networks: dict[str, list[str]] = {}
        for network in (name.partition("@")[2] for name in names if name.startswith("train@")):
            networks.setdefault(_other_machine(network, before), []).append(network)
        lines += [f"  {first_names(trained)}: {machine}" for machine, trained in networks.items()]
        lines += [f"  {DOCUMENT} says how far apart the results of other machines are"] if networks else []
    return lines


def _named(names: list[str]) -> str:
    return f"{first_names(names)}" + (f" ({len(names)} stages)" if len(names) > 1 else "")


def _other_machine(network: str, before: Mapping[str, Any]) -> str:
    """How the machine of the earlier training differed from this one, as far as its fingerprint.json tells."""
    file = f"models/{network}/fingerprint.json"
    identity, md5 = read_json(Path(file)), _md5s(before[f"train@{network}"], "outs").get(file)
    known = identity["compute"]
    now = f"{known['device']} and {known['precision']}"
    for device, precision in itertools.product(DEVICES, PRECISIONS):
        compute = known | {"device": device, "precision": precision}
        if _md5_with(identity, compute) != md5:
            continue
        if compute == known:
            return f"trained on another kind of processor before; this one ({processor()}) rounds differently"
        return f"trained with {device} and {precision} before, with {now} on this machine ({processor()})"
    return f"trained on another kind of machine before, with {now} on this one ({processor()})"


def _md5_with(identity: Mapping[str, Any], compute: Mapping[str, Any]) -> str:
    """The md5 of fingerprint.json of the same training with another `compute`."""
    parts = {key: value for key, value in identity.items() if key != "fingerprint"} | {"compute": compute}
    sha256 = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    text = json.dumps({"fingerprint": sha256, **parts}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _md5s(entry: Mapping[str, Any], part: str) -> dict[str, str | None]:
    return {item["path"]: item.get("md5") for item in entry.get(part, ())}
