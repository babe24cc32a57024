"""The whole descent of a registered version, from its data's sources to the command that makes it again."""

import datetime
import json
from typing import Any

from convzoo.lineage import commits
from convzoo.tracking.versions import aliases_of, find_version

UNKNOWN = "unknown"


def trace(name: str) -> dict[str, Any]:
    """What is known of the version that NETWORK[@ALIAS] stands for, by topic. Raises ConvzooError as `find_version`."""
    found = find_version(name)
    descent, tags = found.lineage, found.run.data.tags
    identity = descent["identity"]
    snapshot = commits.snapshot_of(found.fingerprint)
    return {
        "version": {
            "name": found.version.name,
            "version": str(found.version.version),
            "aliases": [
                alias.named(name)
                for name, alias in aliases_of(found.client, found.version.name).items()
                if alias.version == str(found.version.version)
            ],
            "registered": _time(found.version.creation_timestamp),
            "model sha256": descent["model_sha256"],
            "weights sha256": descent["weights_sha256"] or UNKNOWN,
        },
        "run": {
            "id": found.run.info.run_id,
            "name": found.run.info.run_name,
            "status": found.run.info.status,
            "started": UNKNOWN if "convzoo.backfilled" in tags else _time(found.run.info.start_time),
            "machine": tags.get("convzoo.machine", UNKNOWN),
            "fingerprint": found.fingerprint,
        },
        "code": {
            "git commit": tags.get("mlflow.source.git.commit", UNKNOWN),
            "differs from it": tags.get("convzoo.dirty", UNKNOWN),
            "snapshot of the changes": snapshot or "none",
            "modules": identity["code"],
        },
        "data": {"source": descent["source"], "digests": identity["data"]},
        "params": identity["params"],
        "compute": identity["compute"],
        "package versions": identity["versions"],
        "metrics": descent["metrics"],
        "stages": {
            stage: {
                out["path"]: f"{out.get('hash', 'md5')} {out.get('md5', UNKNOWN)}" for out in locked.get("outs", ())
            }
            for stage, locked in descent["stages"].items()
        },
        "again": f"convzoo reproduce {found.name}",
    }


def as_text(told: dict[str, Any]) -> str:
    """The answer of `trace` for people: a heading a topic, a line a fact."""
    lines: list[str] = []
    for topic, facts in told.items():
        if isinstance(facts, dict):
            lines += [f"{topic}:", *_lines(facts, "  "), ""]
        else:
            lines.append(f"{topic}: {facts}")
    return "\n".join(lines)


def _lines(facts: dict[str, Any], indent: str) -> list[str]:
    width = max((len(str(key)) for key, value in facts.items() if not _nested(value)), default=0)
    lines = []
    for key, value in facts.items():
        if _nested(value):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            lines.append(f"{indent}{key:<{width}}  {shown}")
    return lines


def _nested(value: Any) -> bool:
    return isinstance(value, dict) and bool(value)


def _time(milliseconds: int | None) -> str:
    if milliseconds is None:
        return UNKNOWN
    when = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
