"""Show the lineage of a registered version.

From the sources of its data to the command that rebuilds it: run, files, stages, data, params, packages, machine and
commit.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from convzoo.commands.shared import Json, Version, print_result
from convzoo.lineage import commits
from convzoo.tracking.aliases import aliases_of
from convzoo.tracking.listing import MAIN_METRICS, when
from convzoo.tracking.reader import ask
from convzoo.tracking.registered import NO_CHANGES, changes_of
from convzoo.tracking.versions import find_version

EXAMPLES = ("convzoo trace mnist-classifier", "convzoo trace mnist-classifier@v3 --json")
UNKNOWN, NO_SNAPSHOT = "unknown", "none"
DIGITS = 16  # of a sha256 in the summary
# What the summary shows of a training's params and of the packages; --full shows all.
TRAINING = ("family", "architecture", "variant", "epochs", "batch_size", "optimizer", "learning_rate", "seed")
PACKAGES = ("torch", "numpy", "onnx", "onnxruntime")


def command(
    network: Version,
    full: Annotated[
        bool, typer.Option("--full", help="Add stages, params, packages, modules and all digests.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the lineage; JSON has all of it."""
    print_result(trace(network), as_text if full else summary, as_json)


def trace(name: str) -> dict[str, Any]:
    """The lineage of the version that NETWORK[@ALIAS] stands for, by topic. Raises ConvzooError as `find_version`."""
    return ask(lambda client: _lineage(find_version(name, client)))


def _lineage(version: Any) -> dict[str, Any]:
    registered, run, lineage = version.version, version.run, version.lineage
    tags, identity = run.data.tags, lineage["identity"]
    return {
        "version": {
            "name": registered.name,
            "version": str(registered.version),
            "aliases": [
                alias.named(name)
                for name, alias in aliases_of(version.client, registered.name).items()
                if alias.version == str(registered.version)
            ],
            "registered": f"{when(registered.creation_timestamp)} UTC",
            "model sha256": lineage["model_sha256"],
            "weights sha256": lineage["weights_sha256"] or UNKNOWN,
        },
        "run": {
            "id": run.info.run_id,
            "name": run.info.run_name,
            "status": run.info.status,
            "started": UNKNOWN if "convzoo.backfilled" in tags else f"{when(run.info.start_time)} UTC",
            "machine": tags.get("convzoo.machine", UNKNOWN),
            "fingerprint": version.fingerprint,
            **({"parent": _parent(identity["parent"])} if "parent" in identity else {}),
        },
        "code": {
            "git commit": tags.get("mlflow.source.git.commit", UNKNOWN),
            "uncommitted changes": changes_of(tags) or UNKNOWN,
            "snapshot of the changes": commits.snapshot_of(version.fingerprint) or NO_SNAPSHOT,
            "modules": identity["code"],
        },
        "data": {"source": lineage["source"], "digests": identity["data"]},
        "params": identity["params"],
        "compute": identity["compute"],
        "package versions": identity["versions"],
        "metrics": lineage["metrics"],
        "stages": {
            stage: {
                out["path"]: f"{out.get('hash', 'md5')} {out.get('md5', UNKNOWN)}" for out in locked.get("outs", ())
            }
            for stage, locked in lineage["stages"].items()
        },
        "again": f"convzoo reproduce {version.name}",
    }


def summary(lineage: Mapping[str, Any]) -> str:
    """The lineage in about fifteen lines: what it is, where it came from, how good it is, and how to rebuild it."""
    version, run, code, data = (lineage[topic] for topic in ("version", "run", "code", "data"))
    params, versions = lineage["params"], lineage["package versions"]
    aliases = ", ".join(version["aliases"]) or "no alias"
    changes = code["uncommitted changes"]
    differs = "" if changes in (NO_CHANGES, UNKNOWN) else f", with changes to {changes}"
    lines = {
        "version": f"{version['name']} {version['version']} ({aliases}), registered {version['registered']}",
        "model": f"sha256 {version['model sha256'][:DIGITS]}",
        "weights": f"sha256 {version['weights sha256'][:DIGITS]}",
        "run": f"{run['name']} ({run['id']}), {run['status'].lower()}, started {run['started']}",
        "machine": run["machine"],
        **({"parent": run["parent"]} if "parent" in run else {}),
        "commit": code["git commit"] + differs,
        **({"snapshot": snapshot} if (snapshot := code["snapshot of the changes"]) != NO_SNAPSHOT else {}),
        "data": f"{data['digests']['name']} from {data['source'].get('name', UNKNOWN)}",
        "licence": data["source"].get("licence", UNKNOWN),
        "training": _joined({key: params[key] for key in TRAINING if key in params}),
        "compute": _joined(lineage["compute"]),
        "packages": _joined({key: versions[key] for key in PACKAGES if key in versions}),
        "metrics": _joined({key: f"{value:.4g}" for key, value in _main(lineage["metrics"]).items()}),
        "rebuild": lineage["again"],
    }
    return "\n".join(_lines(lines, "")) + "\n\nStages, params, packages, modules and all digests: --full"


def _parent(parent: Mapping[str, Any]) -> str:
    """What a training was continued from."""
    return f"epoch {parent['epoch']} of the training {parent['fingerprint']}"


def _main(metrics: Mapping[str, float]) -> dict[str, float]:
    """The main metric with its interval or spread, if it was measured; all metrics if there is no main one."""
    main = next((key for key in MAIN_METRICS if key in metrics), None)
    keys = [main, f"{main}_low", f"{main}_high", f"{main}_spread"]
    return {key: metrics[key] for key in keys if key in metrics} if main else dict(metrics)


def _joined(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or UNKNOWN


def as_text(lineage: Mapping[str, Any]) -> str:
    """The lineage for a terminal: a heading per topic, a line per value."""
    lines: list[str] = []
    for topic, values in lineage.items():
        lines += [f"{topic}:", *_lines(values, "  "), ""] if isinstance(values, dict) else [f"{topic}: {values}"]
    return "\n".join(lines)


def _lines(values: Mapping[str, Any], indent: str) -> list[str]:
    width = max((len(key) for key, value in values.items() if not isinstance(value, dict)), default=0)
    lines = []
    for key, value in values.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{indent}{key:<{width}}  {text}")
    return lines
