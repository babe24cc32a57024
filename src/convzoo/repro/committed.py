"""Which models are byte for byte those of dvc.lock in the last commit, and where the others first differ."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError
from convzoo.lineage.commits import git
from convzoo.lineage.record import LOCK, ancestors
from convzoo.portable import LEVERS
from convzoo.repro.lock import OTHER_RESULTS, reason_of
from convzoo.text import first_names

BITS = Path(".repro/bits.json")
RUNNING = "comparing the bits of single operations with tests/bits, which takes about a minute ..."


def committed_stages() -> dict[str, Any]:
    """The stages in dvc.lock of the last commit; none if it has no such file, or one that DVC did not write."""
    from ruamel.yaml import YAML  # here, as in lineage.record: few commands need it
    from ruamel.yaml.error import YAMLError

    try:
        return dict(YAML(typ="safe").load(git("show", f"HEAD:./{LOCK}") or "")["stages"])
    except (YAMLError, KeyError, TypeError, ValueError):
        return {}


def compared_models(
    networks: Iterable[str], committed: Mapping[str, Any], now: Mapping[str, Any], is_portable: bool
) -> Iterator[str]:
    """Lines about the models of `networks`, by the stages in dvc.lock of the last commit and `now`.

    For a model that differs although its inputs are the same, names the first stage and, if results should be
    portable, the first operation. Leaves out networks that are not built; yields nothing if the commit has none of the
    others.
    """
    built = [name for name in networks if Path("models", name, "model.onnx").is_file()]
    known = [name for name in built if _model(committed, name) and _model(now, name)]
    differing = {name: _first_difference(name, committed, now) for name in known if _differs(name, committed, now)}
    if not known:
        return
    yield f"{len(known) - len(differing)} of {len(known)} models are byte for byte those of this repository"
    by_reason: dict[str, list[str]] = {}
    for name, (_, reason) in differing.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in sorted(by_reason.items()):
        if reason != OTHER_RESULTS:
            yield f"  {reason}: {first_names(names)}"
    for name in by_reason.get(OTHER_RESULTS, ()):
        yield f"  {name}: the first stage with other bits from the same inputs is {differing[name][0]}"
    if OTHER_RESULTS in by_reason and is_portable:
        yield f"  {first_operation()}"


def first_operation() -> str:
    """The first operation that has other bits here than on the processors in tests/bits, as a sentence."""
    from convzoo.bits.record import first_difference, read_record  # here: most runs do not need it

    print(RUNNING, file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "convzoo", "bits", "--out", str(BITS)]
    BITS.unlink(missing_ok=True)  # of an earlier run
    done = subprocess.run(command, env=os.environ | LEVERS, capture_output=True, text=True, check=False)
    try:
        return first_difference(read_record(BITS))
    except (ConvzooError, ValueError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"convzoo bits failed ({last}); run it to see which operation differs"


def _model(stages: Mapping[str, Any], network: str) -> str | None:
    """The md5 of a network's model.onnx."""
    outs = stages.get(f"export@{network}", {}).get("outs", ())
    return next((out.get("md5") for out in outs if out["path"].endswith("/model.onnx")), None)


def _differs(network: str, committed: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return _model(committed, network) != _model(now, network)


def _first_difference(network: str, committed: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, str]:
    """The first stage on the way to a model with another output that does not follow from other stages, and why."""
    stages = ancestors(dict(now), [f"export@{network}"])
    for name in (name for name in now if name in stages):
        entry, before = now[name], committed.get(name)
        if not entry.get("deps") or (before and _outs(before) == _outs(entry)):
            continue
        if reason := reason_of(before, entry):
            return name, reason
    return f"export@{network}", OTHER_RESULTS


def _outs(entry: Mapping[str, Any]) -> dict[str, str | None]:
    return {out["path"]: out.get("md5") for out in entry.get("outs", ())}
