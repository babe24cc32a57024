"""Two versions or runs side by side: params that differ, metrics with intervals, data, and where each comes from."""

import re
from collections.abc import Mapping
from typing import Any

from convzoo.lineage.record import PACKAGE, identities
from convzoo.tracking.store import failures_raised_as
from convzoo.tracking.versions import find_run, find_version

RUN = re.compile(r"[0-9a-f]{32}")  # what mlflow calls a run
SHA256 = re.compile(r"[0-9a-f]{64}")
DIGITS = 16  # of a sha256 in a terminal
NONE = "-"
Table = dict[str, tuple[str, str]]  # what it is, and what it is in A and in B


def compare(a: str, b: str) -> dict[str, Any]:
    """What is known of two of NETWORK[@ALIAS], NETWORK@v3 or a run's id: `names`, and tables by topic.

    Raises ConvzooError where one is not there, and TrackingError for a store that fails.
    """
    first, second = (_side(name) for name in (a, b))
    tables = {
        topic: _beside(first[topic], second[topic]) for topic in ("params that differ", "metrics", "data", "lineage")
    }
    tables["params that differ"] = {
        key: pair for key, pair in tables["params that differ"].items() if pair[0] != pair[1]
    }
    tables["lineage"] = {
        key: pair for key, pair in tables["lineage"].items() if pair[0] != pair[1] or not key.startswith(PACKAGE)
    }
    return {"names": [first["name"], second["name"]], **tables}


def as_text(told: Mapping[str, Any]) -> str:
    """The comparison for a terminal; a star marks what differs."""
    tables = {topic: table for topic, table in told.items() if topic != "names"}
    tables = {topic: {key: tuple(map(_short, pair)) for key, pair in table.items()} for topic, table in tables.items()}
    cells = [(topic, key, *pair) for topic, table in tables.items() for key, pair in table.items()]
    widths = [max(len(row[column]) for row in [*cells, ("", "", *told["names"])]) for column in (1, 2)]
    lines = ["  ".join(["".ljust(widths[0] + 4), told["names"][0].ljust(widths[1]), told["names"][1]])]
    for topic, table in tables.items():
        lines += ["", f"{topic}:" + ("" if table else " none")]
        for key, (one, other) in table.items():
            mark = " " if one == other else "*"
            lines.append(f"  {mark} {key.ljust(widths[0])}  {one.ljust(widths[1])}  {other}".rstrip())
    return "\n".join(lines)


def _short(value: str) -> str:
    return f"{value[:DIGITS]}..." if SHA256.fullmatch(value) else value


def _side(name: str) -> dict[str, Any]:
    with failures_raised_as(f"{name}: cannot be looked up"):
        if RUN.fullmatch(name):
            run, descent = find_run(name)
            title = run.info.run_name
        else:
            found = find_version(name)
            run, descent = found.run, found.lineage
            title = f"{found.version.name}@v{found.version.version}"
    tags = run.data.tags
    lineage = {
        "run": run.info.run_id,
        "run's name": run.info.run_name,
        "status": run.info.status,
        "experiment of dvc": tags.get("convzoo.dvc_experiment"),
        "fingerprint": tags.get("convzoo.fingerprint"),
        "git commit": tags.get("mlflow.source.git.commit"),
        "differs from it": tags.get("convzoo.dirty"),
        "profile": tags.get("convzoo.profile"),
        "machine": tags.get("convzoo.machine"),
    }
    return {
        "name": title,
        "params that differ": dict(run.data.params),
        "metrics": _with_intervals({**run.data.metrics, **(descent["metrics"] if descent else {})}),
        "data": _data(run, descent),
        "lineage": lineage | (identities(descent) if descent else {}),
    }


def _with_intervals(metrics: Mapping[str, float]) -> dict[str, str]:
    """Metrics as text, each with its interval or the spread of one subset where those were measured."""
    found = {}
    for key, value in sorted(metrics.items()):
        if key.startswith("system/") or key.endswith(("_low", "_high", "_spread")):
            continue
        more = ""
        if f"{key}_low" in metrics:
            more = f" ({metrics[f'{key}_low']:.4g} to {metrics[f'{key}_high']:.4g})"
        elif f"{key}_spread" in metrics:
            more = f" (one subset +- {metrics[f'{key}_spread']:.2g})"
        found[key] = f"{value:.6g}{more}"
    return found


def _data(run: Any, descent: Mapping[str, Any] | None) -> dict[str, str]:
    sets = {
        f"{each.dataset.name} {each.tags[0].value if each.tags else ''}".strip(): each.dataset.digest
        for each in run.inputs.dataset_inputs
    }
    source = descent["source"] if descent else {}
    return sets | {f"source's {key}": str(source[key]) for key in ("name", "kind", "licence") if key in source}


def _beside(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    keys = [*first, *(key for key in second if key not in first)]
    pairs = {key: (first.get(key), second.get(key)) for key in keys}
    return {
        key: tuple(NONE if value is None else str(value) for value in pair)
        for key, pair in pairs.items()
        if pair != (None, None)
    }
