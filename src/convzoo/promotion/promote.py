"""Moves the alias champion to a version that passes the gate, or back to the previous champion."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from convzoo.errors import ConvzooError, SettingsError
from convzoo.files import read_json
from convzoo.promotion import gate, ledger
from convzoo.promotion.attempt import Attempt
from convzoo.promotion.gate import Condition, Contender, GateResult
from convzoo.promotion.ledger import FORCED, PROMOTED, REFUSED, ROLLED_BACK
from convzoo.promotion.measuring import evaluator_for
from convzoo.promotion.outcome import check_unchanged, complete, identities, write_outcome
from convzoo.promotion.signatures import sign_version
from convzoo.promotion.splits import current_splits, verdict_on
from convzoo.settings.load import read_params
from convzoo.settings.networks import family_of, network_settings
from convzoo.settings.promotion import Promotion
from convzoo.settings.whole import check_network_name
from convzoo.shipping.model import Model
from convzoo.signing import check_private_key
from convzoo.tracking import store
from convzoo.tracking.aliases import CANDIDATE, CHAMPION, PREVIOUS, aliases_of
from convzoo.tracking.candidates import version_in_models
from convzoo.tracking.locks import locked
from convzoo.tracking.missing import nothing_to_roll_back
from convzoo.tracking.versions import (
    Version,
    check_run_is_active,
    find_version,
    folder_until_exit,
)


class Outcome(NamedTuple):
    """The outcome of a promotion."""

    conditions: list[Condition]
    messages: list[str]
    done: bool  # whether the version is the champion now
    fits: bool  # whether no condition failed; the only result of a dry run


def promote(
    network: str,
    version: int | None = None,
    dry_run: bool = False,
    force: bool = False,
    reason: str | None = None,
    key: Path | None = None,
) -> Outcome:
    """Make a version (by default the one with the alias candidate) the champion, if it passes `promotion.NETWORK`.

    Measures on val first; on test only if val was passed, and never in a dry run. `force` overrules the gate, unless
    the file differs from the registered one. Every promotion that is not a dry run adds a line to the ledger and a
    verdict to the version. The private key `key` signs what becomes the champion. Raises ConvzooError if something is
    missing, and if another promotion was faster.
    """
    family, settings = _settings(network)
    ledger.read_ledger()  # fails early if the ledger is broken
    if key:
        check_private_key(key)  # before anything looks at the test split
    with _store_failures(network):
        candidate = find_version(f"{network}@{f'v{version}' if version else CANDIDATE}")
        number = str(candidate.version.version)
        messages = []
        if not version and (other := version_in_models(candidate.client, network)):
            messages.append(
                f"models/{network} holds version {other.version}, which is not the candidate; to make it the "
                f"candidate, run: convzoo sync {network}"
            )
        aliases = aliases_of(candidate.client, network)
        before, attempt = aliases.get(CHAMPION), Attempt(candidate.client, network)
        if before and before.version == number:
            if not dry_run and complete(candidate, aliases.get(PREVIOUS)):
                messages.append(f"{network}: the interrupted promotion of version {number} is now recorded")
            messages.append(f"{network}: version {number} is already the champion; nothing changed")
            return Outcome([], messages, done=True, fits=True)
        check_run_is_active(candidate)
        champion, broken = _champion(f"{network}@v{before.version}") if before else (None, None)
        contenders = [_contender(side) for side in (candidate, champion) if side]

        def record_look(test: str) -> None:
            about = {"network": network, "version": int(number), "test_images": test, "looked_at_test": True}
            attempt.record(ledger.new_line(about | {"champion_before": int(before.version) if before else None}))

        result = _run_gate(family, settings, contenders, dry_run, broken, record_look)
        conditions, failed = result.conditions, result.failed
        messages.append(before.named(f"champion: version {before.version}") if before else "champion: none yet")
        if broken:
            messages.append(f"{broken}; or replace it without a comparison: --force --reason TEXT")
        if dry_run:
            verdict = f"would be refused: {', '.join(failed)}" if failed else "passes so far; test would come next"
            messages.append(f"{network}: version {number} {verdict} (dry run, nothing changed)")
            return Outcome(conditions, messages, done=False, fits=not failed)
        is_intact = conditions[0].passed  # the file itself: no reason can overrule this
        what = PROMOTED if not failed else FORCED if force and is_intact else REFUSED
        values = {
            "what": what,
            "network": network,
            "version": int(number),
            "champion_before": int(before.version) if before else None,
            "why": reason or (f"failed: {', '.join(failed)}" if failed else f"passed {len(conditions)} conditions"),
            "failed": failed,
            "rule": settings.rule if settings.rule == "better" else f"not_worse_by {settings.not_worse_by:g}",
            "confidence": settings.confidence,
            **identities(candidate, before, result.splits, "test" in result.results, attempt.is_recorded),
        }
        with locked(network, "promote") as lock:
            check_unchanged(candidate, before.version if before else None)
            if key and what != REFUSED:
                sign_version(candidate, key)
            line = write_outcome(candidate, values, result, attempt, lock)
    uses = line["looks_at_test"]
    looks = f"these test images have been used by {uses} promotion{'' if uses == 1 else 's'} so far"
    messages.append(f"{network}: version {number} {what} ({values['why']}); {looks}")
    return Outcome(conditions, messages, done=what != REFUSED, fits=not failed)


def rollback(
    network: str, reason: str | None = None, dry_run: bool = False, announce: Callable[[str], object] = print
) -> str:
    """Make the version with the alias previous the champion again; the current champion gets the alias previous.

    Calls `announce` with what is about to change. Raises ConvzooError if there is no such version, if its file differs
    from the registered one, and if the last rollback replaced it after it had been forced past the gate.
    """
    _settings(network)
    with _store_failures(network):
        aliases = aliases_of(store.use_store(), network)
        if problem := nothing_to_roll_back(network, aliases):
            raise problem
        previous = find_version(f"{network}@{PREVIOUS}")
        check_run_is_active(previous)
        number, replaced = str(previous.version.version), aliases[CHAMPION].version
        if ledger.was_forced_and_rolled_back(network, number):
            raise ConvzooError(
                f"{network}: version {number} was forced past the gate and then rolled back, expected one that passed; "
                f"to force it again, run: convzoo promote {network} --version {number} --force --reason TEXT"
            )
        file = gate.file_condition(_contender(previous))
        if not file.passed:
            raise ConvzooError(
                f"{network}: the registry's file of version {number} has sha256 {file.candidate}, expected "
                f"{file.required}; run: convzoo sync"
            )
        values = {
            "what": ROLLED_BACK,
            "network": network,
            "version": int(number),
            "champion_before": int(replaced),
            "why": reason or "no reason given",
            **identities(previous, aliases[CHAMPION], {}, False),
        }
        sides = [f"version {side}{ledger.origin(network, side)}" for side in (replaced, number)]
        announce(f"{network}: champion: {sides[0]} -> {sides[1]}; previous: version {number} -> version {replaced}")
        if dry_run:
            return f"{network}: dry run, nothing changed"
        with locked(network, "promote") as lock:
            check_unchanged(previous, replaced)
            write_outcome(previous, values, GateResult([], {}, {}), Attempt(previous.client, network), lock)
    return f"{network}: version {number} is the champion again, version {replaced} {PREVIOUS}"


def _settings(network: str) -> tuple[str, Promotion]:
    """The family of a network and its block of `promotion`."""
    params = read_params()
    check_network_name(params, network)
    family, promotions = family_of(params, network), params.values["promotion"]
    if network not in promotions:
        alike = [name for name in promotions if name in params.values["networks"] and family_of(params, name) == family]
        like = f"; write one like promotion.{next(iter(promotions))}" if promotions else ""
        remedy = f"; copy promotion.{alike[0]} and rename it" if alike else like
        raise SettingsError(
            f"{params.file}: promotion.{network}: is missing, expected a block with what it must reach{remedy}"
        )
    return family, network_settings(params, "promotion", network)


def _store_failures(network: str) -> AbstractContextManager[None]:
    remedy = "fix it, see `convzoo models` for the aliases, and run the same command again"
    return store.failures_raised_as(f"{network}: {store.tracking_uri()} failed", remedy)


def _contender(version: Version) -> Contender:
    file = version.download(folder_until_exit())
    return Contender(str(version.version.version), file, version.lineage, version.splits, version.export())


def _champion(name: str) -> tuple[Version | None, ConvzooError | None]:
    """The champion; or, if its run or its lineage is missing, the error that says so."""
    try:
        return find_version(name), None
    except store.TrackingError:
        raise
    except ConvzooError as error:
        return None, error


def _run_gate(
    family: str,
    settings: Promotion,
    contenders: list[Contender],
    dry_run: bool,
    broken: ConvzooError | None,
    record_look: Callable[[str], object],
) -> GateResult:
    """Check the candidate, which comes first, against the gate; stops at the first group with a failed condition.

    `broken` is the error about a champion that cannot be compared. Calls `record_look` with the digest of the test
    split before it measures on that.
    """
    candidate, *others = contenders
    champion = others[0] if others else None
    result = GateResult([gate.file_condition(candidate)], {}, {})
    if champion and not (row := gate.file_condition(champion)).passed:
        row = row._replace(condition="file of the champion", candidate=gate.NONE, champion=row.candidate)
        result.conditions.append(row)
    if broken:
        result.conditions.append(Condition("lineage of the champion", "recorded", gate.NONE, "missing", passed=False))
    if result.failed:
        return result
    dataset = candidate.identity["data"]["name"]
    result = result._replace(splits=current_splits(dataset))
    result.conditions.extend(gate.preconditions(candidate, champion, dataset, result.splits, verdict_on(dataset)))
    if result.failed:
        return result

    folder = Path("data/prepared", dataset)
    meta, weights = read_json(folder / "meta.json"), candidate.identity["params"]["weights"]
    evaluator = evaluator_for(family, settings, meta, weights)
    models = [Model(contender.file) for contender in contenders]
    for split in ("val", "test"):
        if split == "test":
            record_look(result.splits["test"])
        on_split = result.results[split] = gate.evaluate_split(split, folder, evaluator, settings, models)
        result.conditions.extend(on_split.conditions)
        if split == "val":
            result.conditions.extend(gate.cost_conditions(settings, models, folder / "val"))
        if dry_run or result.failed:
            break
    return result
