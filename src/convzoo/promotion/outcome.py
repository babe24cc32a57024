"""Writes the outcome of a promotion or rollback: aliases, ledger and verdict, under the lock of `promote`."""

from typing import Any

from convzoo.errors import ConvzooError
from convzoo.promotion import gate, ledger
from convzoo.promotion.attempt import Attempt, interrupted
from convzoo.promotion.gate import GateResult
from convzoo.promotion.ledger import REFUSED
from convzoo.tracking.aliases import CHAMPION, PREVIOUS, Alias, aliases_of, restore_alias, set_alias
from convzoo.tracking.locks import Lock, locked
from convzoo.tracking.registered import SHA256
from convzoo.tracking.verdicts import record_verdict
from convzoo.tracking.versions import Version

TAG_LENGTH = 5000  # characters that MLflow takes


def identities(
    candidate: Version, champion: Alias | None, splits: dict[str, str], looked: bool, is_counted: bool = False
) -> dict[str, Any]:
    """What a line says about the files and images; `is_counted` if this look at the test split is recorded already."""
    test = splits.get("test")
    before = candidate.client.get_model_version(candidate.version.name, champion.version) if champion else None
    looks = ledger.looks_at_test(candidate.version.name, test) + (looked and not is_counted) if test else 0
    return {
        "model_sha256": candidate.lineage["model_sha256"],
        "fingerprint": candidate.fingerprint,
        "champion_sha256": before.tags.get(SHA256) if before else None,
        "val_images": splits.get("val"),
        "test_images": test,
        "looked_at_test": looked,
        "looks_at_test": looks,
    }


def check_unchanged(candidate: Version, expected: str | None) -> None:
    """Raises ConvzooError if the champion is no longer the version that the candidate was compared with."""
    champion = aliases_of(candidate.client, candidate.version.name).get(CHAMPION)
    version = champion.version if champion else None
    if version != expected:
        raise ConvzooError(
            f"{candidate.version.name}: the champion became version {version} meanwhile, expected {expected or 'none'} "
            "as before; nothing changed, run the same command again to compare with that one"
        )


def write_outcome(
    candidate: Version, values: dict[str, Any], result: GateResult, attempt: Attempt, lock: Lock
) -> dict[str, Any]:
    """Write aliases, ledger and verdict; returns the ledger's line. Restores the aliases if that cannot be written."""
    client, network, line = candidate.client, values["network"], ledger.new_line(values)
    aliases = aliases_of(client, network)
    if values["what"] != REFUSED:
        attempt.record(line, intended=values["what"])
        lock.check()
        if values["champion_before"] is not None:
            set_alias(client, network, PREVIOUS, str(values["champion_before"]))
        set_alias(client, network, CHAMPION, str(values["version"]))
    line |= attempt.identity
    try:
        ledger.append(line)
    except ConvzooError:
        for alias in (PREVIOUS, CHAMPION):
            restore_alias(client, network, alias, aliases.get(alias))
        if attempt.is_recorded:
            attempt.record(line)
        raise
    _record_verdict(candidate, line, result)
    attempt.finish(line)  # last, so that what is interrupted before can be completed
    return line


def complete(candidate: Version, previous: Alias | None) -> bool:
    """Record the promotion of this champion if it was interrupted after it moved the aliases; whether it was."""
    network, number = candidate.version.name, str(candidate.version.version)
    before = previous.version if previous else None
    if not interrupted(candidate.client, network, number, before):
        return False
    with locked(network, "promote"):
        attempt = interrupted(candidate.client, network, number, before)
        if not attempt:  # another clone was faster
            return False
        line = attempt.intended
        if line["id"] not in {known.get("id") for known in ledger.read_ledger()}:
            ledger.append(line)
        _record_verdict(candidate, line, GateResult([], {}, {}))
        attempt.finish(line)
    return True


def _record_verdict(candidate: Version, line: dict[str, Any], result: GateResult) -> None:
    tags = {"verdict": line["what"], "when": line["when"], "who": line["who"], "why": line["why"][:TAG_LENGTH]}
    val = result.results.get("val")
    if val and val.difference:
        tags |= {f"val_gain_{key}": repr(value) for key, value in val.difference._asdict().items()}
    details = {
        **line,
        "conditions": [row._asdict() for row in result.conditions],
        "measured": {split: on_split.measured for split, on_split in result.results.items()},
    }
    title = f"**{line['what']}** {line['when']} by {line['who']}: {line['why']}"
    whole, brief = (gate.verdict_as_markdown(title, result.conditions, is_whole) for is_whole in (True, False))
    record_verdict(candidate, tags, whole, brief, details)
