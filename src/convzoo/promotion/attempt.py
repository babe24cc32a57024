"""Records promotions and rollbacks in a registry that clones share, so that each clone knows those of the others.

The ledger is a file of the clone. In a server or a database other than sqlite, each promotion that looks at the test
split or changes the champion is also a tag of the network's registered model, with a unique key: two clones that
write at once write two tags. The tag is there before the test split is looked at, and its line is complete only after
the champion changed. So a look counts even if the promotion is interrupted, and an interrupted change can be completed.
"""

from __future__ import annotations

import datetime
import json
import uuid
from typing import Any

from convzoo.tracking import store

RECORD = "convzoo.promotions."  # the tags' keys are RECORD and the ID of a promotion
UNFINISHED = "unfinished"  # what a line says until the promotion is over
INTENDED = "intended"  # what an unfinished line is about to become, once the aliases are being moved
TEXT_LENGTH = 2000  # characters of each text in a tag


class Attempt:
    """One promotion or rollback; records nothing if the registry is not shared."""

    def __init__(self, client: store.MlflowClient, network: str, line: dict[str, Any] | None = None) -> None:
        self.client, self.network = client, network
        self._line = line or {}

    @property
    def is_recorded(self) -> bool:
        """Whether the registry has a record of this one."""
        return "id" in self._line

    @property
    def identity(self) -> dict[str, str]:
        """The ID of the record, for the ledger; empty if there is none."""
        return {"id": self._line["id"]} if self.is_recorded else {}

    @property
    def intended(self) -> dict[str, Any]:
        """The line that the interrupted promotion was about to write."""
        return {key: value for key, value in self._line.items() if key != INTENDED} | {"what": self._line[INTENDED]}

    def record(self, line: dict[str, Any], intended: str | None = None) -> None:
        """Record the line as unfinished: a look at the test split, or a change that is about to happen."""
        if store.is_shared():
            more = {INTENDED: intended} if intended else {}
            self._line = {"id": new_id()} | self.identity | line | {"what": UNFINISHED} | more
            self._write()

    def finish(self, line: dict[str, Any]) -> None:
        """Record the line as final, if there is a record."""
        if self.is_recorded:
            self._line = line | self.identity
            self._write()

    def _write(self) -> None:
        short = {key: value[:TEXT_LENGTH] if isinstance(value, str) else value for key, value in self._line.items()}
        text = json.dumps(short, ensure_ascii=False)
        self.client.set_registered_model_tag(self.network, RECORD + self._line["id"], text)


def recorded_lines(client: store.MlflowClient, network: str) -> list[dict[str, Any]]:
    """The lines in the registry of a network, oldest first; skips tags that hold no line, changed by hand."""
    tags = client.get_registered_model(network).tags
    lines = [_parsed(value) for key, value in sorted(tags.items()) if key.startswith(RECORD)]
    return [line for line in lines if line]


def interrupted(client: store.MlflowClient, network: str, version: str, previous: str | None) -> Attempt | None:
    """The newest change to this champion that was interrupted after the aliases moved; None if there is none.

    `previous` is the version with the alias previous, which must be the champion that the change replaced.
    """
    if not store.is_shared():
        return None
    last = [line for line in recorded_lines(client, network) if INTENDED in line or line["what"] != UNFINISHED][-1:]
    for line in last:
        before = line["champion_before"]
        if INTENDED in line and str(line["version"]) == version and (before is None or str(before) == previous):
            return Attempt(client, network, line)
    return None


def new_id() -> str:
    """An ID that nobody else has; IDs sort by time."""
    return f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%fZ}-{uuid.uuid4().hex[:8]}"


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    needed = {"id", "what", "when", "network", "version", "champion_before"}
    return line if isinstance(line, dict) and needed <= line.keys() else None
