"""Show the lineage of a registered version.

From the sources of its data to the command that rebuilds it: run, files, stages, data, params, packages, machine and
commit.
"""

import json
from collections.abc import Mapping
from typing import Any

from convzoo.commands.shared import Json, Version, print_result
from convzoo.lineage import commits
from convzoo.tracking.listing import when
from convzoo.tracking.versions import aliases_of, find_version

EXAMPLES = ("convzoo trace mnist-classifier", "convzoo trace mnist-classifier@v3 --json")
UNKNOWN = "unknown"


def command(network: Version, as_json: Json = False) -> None:
    """Print the lineage."""
    print_result(trace(network), as_text, as_json)


def trace(name: str) -> dict[str, Any]:
    """The lineage of the version that NETWORK[@ALIAS] stands for, by topic. Raises ConvzooError as `find_version`."""
    version = find_version(name)
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
        },
        "code": {
            "git commit": tags.get("mlflow.source.git.commit", UNKNOWN),
            "differs from it": tags.get("convzoo.dirty", UNKNOWN),
            "snapshot of the changes": commits.snapshot_of(version.fingerprint) or "none",
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
