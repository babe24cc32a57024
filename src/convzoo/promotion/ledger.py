"""The ledger of promotions: one line of JSON per promotion, in a file that git tracks.

Clones that share a registry also see the promotions of one another that are recorded there.
"""

import datetime
import getpass
import json
from pathlib import Path
from typing import Any

from convzoo.errors import ConvzooError
from convzoo.files import new_file, project_root
from convzoo.lineage import commits
from convzoo.promotion.attempt import recorded_lines
from convzoo.tracking import store

LEDGER = "promotions.jsonl"
PROMOTED, REFUSED, FORCED, ROLLED_BACK = "promoted", "refused", "forced", "rolled back"


def read_ledger() -> list[dict[str, Any]]:
    """All lines, oldest first. Raises ConvzooError for a line that is not JSON, such as a merge conflict."""
    file = _file()
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    promotions = []
    for number, line in enumerate(lines, 1):
        try:
            promotions.append(json.loads(line))
        except ValueError as error:
            raise ConvzooError(
                f"{file.name}:{number}: is not JSON ({error}), expected one promotion per line; fix it, or restore the "
                f"file: git checkout {file.name}"
            ) from None
    return promotions


def looks_at_test(network: str, test: str) -> int:
    """How often promotions of this network measured on this test split; `test` is its digest."""
    return sum(1 for line in _lines(network) if line.get("test_images") == test and line.get("looked_at_test"))


def origin(network: str, version: str) -> str:
    """How a version became the champion, in brackets for a message; empty if no promotion made it the champion."""
    line = _promotion(network, version)
    return f" ({line['what']} {line['when'][:10]}: {line['why']})" if line else ""


def was_forced_and_rolled_back(network: str, version: str) -> bool:
    """Whether the last change of the champion took it from this version, which had been forced past the gate."""
    line, last = _promotion(network, version), _changes(network)[-1:]
    return bool(line and line["what"] == FORCED and last[0]["what"] == ROLLED_BACK) and (
        str(last[0]["champion_before"]) == version
    )


def _promotion(network: str, version: str) -> dict[str, Any] | None:
    """The last line that made a version the champion, other than by a rollback."""
    lines = [line for line in _changes(network) if str(line["version"]) == version and line["what"] != ROLLED_BACK]
    return lines[-1] if lines else None


def _changes(network: str) -> list[dict[str, Any]]:
    """The lines of a network that changed its champion, oldest first."""
    return [line for line in _lines(network) if line["what"] in (PROMOTED, FORCED, ROLLED_BACK)]


def _lines(network: str) -> list[dict[str, Any]]:
    """The lines of a network, oldest first: those of the file, and those in the registry if clones share it."""
    own = [line for line in read_ledger() if line["network"] == network]
    if not store.is_shared():
        return own
    recorded = recorded_lines(store.open_store(), network)
    ids = {line["id"] for line in recorded}
    lines = [*recorded, *(line for line in own if line.get("id") not in ids)]
    return sorted(lines, key=lambda line: (line["when"], line.get("id", "")))


def new_line(values: dict[str, Any]) -> dict[str, Any]:
    """A line with these values, the time, the user, and the commit of the clone."""
    return {"when": now(), "who": _user(), **values, "commit": commits.head()}


def append(line: dict[str, Any]) -> None:
    """Write a line, whole or not at all. Raises ConvzooError if the ledger is broken or the disk full."""
    read_ledger()  # never appends to a broken ledger
    file = _file()
    before = file.read_text(encoding="utf-8") if file.is_file() else ""
    with new_file(file) as temporary:
        temporary.write_text(before + json.dumps(line, ensure_ascii=False) + "\n", encoding="utf-8")


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _file() -> Path:
    return project_root() / LEDGER


def _user() -> str:
    """The user's name in git, otherwise in the system."""
    try:
        return commits.git("config", "user.name") or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
