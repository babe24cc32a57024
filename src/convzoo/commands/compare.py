"""Compare two versions or runs side by side.

Shows the params that differ, metrics with intervals, data and lineage; a star marks what differs. A network alone
stands for its candidate and its champion.
"""

import re
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any

import typer

from convzoo.commands.shared import Json, print_result
from convzoo.errors import ConvzooError
from convzoo.lineage.record import PACKAGE, identities
from convzoo.text import in_columns
from convzoo.tracking.aliases import CANDIDATE, CHAMPION
from convzoo.tracking.registered import changes_of
from convzoo.tracking.store import failures_raised_as
from convzoo.tracking.versions import find_run, find_version

EXAMPLES = (
    "convzoo compare mnist-classifier",
    "convzoo compare mnist-classifier@v1 mnist-classifier@v2 --json",
)
RUN_ID = re.compile(r"[0-9a-f]{32}")
SHA256 = re.compile(r"[0-9a-f]{64}")
DIGITS = 16  # of a sha256 in a terminal
NONE = "-"
TOPICS = ("params that differ", "metrics", "data", "lineage")
Table = dict[str, tuple[str, str]]  # by key the values of A and B


def command(
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A network, one of its versions, as in NETWORK@champion or NETWORK@v3, or a run ID."
        ),
    ],
    b: Annotated[
        str | None,
        typer.Argument(metavar="B", help="What to compare it with, named in the same way. Default: the champion."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print the comparison."""
    print_result(compare(*pair(a, b)), as_text, as_json)


def pair(a: str, b: str | None) -> tuple[str, str]:
    """The two names to compare if the user gave `a` and perhaps `b`: a network alone is its candidate and champion.

    Raises ConvzooError for a run without another, since it has no champion.
    """
    if b is not None:
        return a, b
    if RUN_ID.fullmatch(a):
        raise ConvzooError(f"{a}: is a run, expected a second run or version to compare it with; name it as B")
    network, _, alias = a.partition("@")
    return a if alias else f"{network}@{CANDIDATE}", f"{network}@{CHAMPION}"


def compare(a: str, b: str) -> dict[str, Any]:
    """The values of two versions or runs, each NETWORK[@ALIAS], NETWORK@v3 or a run ID: `names`, and a table per topic.

    Raises ConvzooError if one does not exist, and TrackingError if the store fails.
    """
    first, second = _values(a), _values(b)
    tables = {topic: _side_by_side(first[topic], second[topic]) for topic in TOPICS}
    tables["params that differ"] = _without_equal(tables["params that differ"])
    tables["lineage"] = _without_equal(tables["lineage"], PACKAGE)
    return {"names": [first["name"], second["name"]], **tables}


def as_text(comparison: Mapping[str, Any]) -> str:
    """The comparison for a terminal; a star marks what differs."""
    tables = {topic: comparison[topic] for topic in TOPICS}
    rows = [
        (f"  {' ' if first == second else '*'} {key}", _short(first), _short(second))
        for table in tables.values()
        for key, (first, second) in table.items()
    ]
    lines = iter(in_columns([("", *comparison["names"]), *rows]).split("\n"))
    text = [next(lines)]
    for topic, table in tables.items():
        text += ["", f"{topic}:" + ("" if table else " none"), *islice(lines, len(table))]
    return "\n".join(text)


def _short(value: str) -> str:
    return f"{value[:DIGITS]}..." if SHA256.fullmatch(value) else value


def _values(name: str) -> dict[str, Any]:
    with failures_raised_as(f"{name}: cannot be looked up"):
        if RUN_ID.fullmatch(name):
            network, run, lineage = find_run(name)
            title = f"{network}: {run.info.run_name}"
        else:
            version = find_version(name)
            run, lineage = version.run, version.lineage
            title = f"{version.version.name}@v{version.version.version}"
    tags = run.data.tags
    origin = {
        "run": run.info.run_id,
        "run name": run.info.run_name,
        "status": run.info.status,
        "DVC experiment": tags.get("convzoo.dvc_experiment"),
        "fingerprint": tags.get("convzoo.fingerprint"),
        "git commit": tags.get("mlflow.source.git.commit"),
        "uncommitted changes": changes_of(tags),
        "profile": tags.get("convzoo.profile"),
        "machine": tags.get("convzoo.machine"),
    }
    return {
        "name": title,
        "params that differ": run.data.params,
        "metrics": _with_intervals(run.data.metrics | (lineage["metrics"] if lineage else {})),
        "data": _data(run, lineage),
        "lineage": origin | (identities(lineage) if lineage else {}),
    }


def _with_intervals(metrics: Mapping[str, float]) -> dict[str, str]:
    """The metrics as text, each with its confidence interval, or its spread over subsets, if measured."""
    texts = {}
    for key, value in sorted(metrics.items()):
        if key.startswith("system/") or key.endswith(("_low", "_high", "_spread")):
            continue
        texts[key] = f"{value:.6g}"
        if f"{key}_low" in metrics:
            texts[key] += f" ({metrics[f'{key}_low']:.4g} to {metrics[f'{key}_high']:.4g})"
        elif f"{key}_spread" in metrics:
            texts[key] += f" (one subset +- {metrics[f'{key}_spread']:.2g})"
    return texts


def _data(run: Any, lineage: Mapping[str, Any] | None) -> dict[str, str]:
    digests = {
        " ".join([entry.dataset.name, *(tag.value for tag in entry.tags[:1])]): entry.dataset.digest
        for entry in run.inputs.dataset_inputs
    }
    source = lineage["source"] if lineage else {}
    return digests | {f"source {key}": str(source[key]) for key in ("name", "kind", "licence") if key in source}


def _side_by_side(first: Mapping[str, Any], second: Mapping[str, Any]) -> Table:
    pairs = {key: (first.get(key), second.get(key)) for key in {**first, **second}}
    return {
        key: tuple(NONE if value is None else str(value) for value in pair)
        for key, pair in pairs.items()
        if pair != (None, None)
    }


def _without_equal(table: Table, prefix: str = "") -> Table:
    """The table without the rows whose key starts with `prefix` and whose values are equal."""
    return {key: pair for key, pair in table.items() if pair[0] != pair[1] or not key.startswith(prefix)}
