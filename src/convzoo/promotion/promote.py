"""Moves the alias champion: to a version that passes the gate, or back to the one before."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

from convzoo.errors import ConvzooError, SettingsError
from convzoo.files import read_json
from convzoo.promotion import gate, ledger
from convzoo.promotion.gate import Condition, Contender, Judged
from convzoo.promotion.images import Images, images_on_disk
from convzoo.promotion.measuring import ruler
from convzoo.settings.load import read_params
from convzoo.settings.networks import network_settings
from convzoo.settings.promotion import Promotion
from convzoo.settings.whole import check_network_name
from convzoo.shipping.model import Model
from convzoo.tracking import store
from convzoo.tracking.aliases import CANDIDATE, CHAMPION, PREVIOUS, aliases_of, put_back, set_alias
from convzoo.tracking.answering import answering
from convzoo.tracking.models import folder_until_exit
from convzoo.tracking.verdicts import export_of, record
from convzoo.tracking.versions import Version, find_version

LONGEST_TAG = 5000  # characters that mlflow takes
PROMOTED, REFUSED, FORCED, BACK = "promoted", "refused", "forced", "rolled back"


class Outcome(NamedTuple):
    """What came of it."""

    conditions: list[Condition]
    told: list[str]
    done: bool  # whether the version is the champion now, or is it already
    fits: bool  # whether nothing speaks against it so far, which is all that a dry run says


def promote(
    network: str, version: int | None = None, dry_run: bool = False, force: bool = False, reason: str | None = None
) -> Outcome:
    """Make a version (else the one with the alias candidate) the champion, if it passes `promotion.NETWORK`.

    Val is looked at first; test only where val was passed, and never in a dry run. With `force` the gate is
    overruled, but for a file that is not the one that was registered. Every try leaves a line in the ledger and a
    verdict with the version. Raises ConvzooError for what is not there, and where another promotion came first.
    """
    settings = _settings(network)
    ledger.read_ledger()  # a broken one is found before the work
    with _answering(network):
        found = _version(network, f"v{version}" if version else CANDIDATE)
        number = str(found.version.version)
        before = aliases_of(found.client, network).get(CHAMPION)
        if before and before.version == number:
            return Outcome([], [f"{network}: version {number} is the champion already; nothing changed"], True, True)
        champion = _version(network, f"v{before.version}") if before else None
        contenders = [_contender(each) for each in (found, champion) if each]
        conditions, images, judged = _judge(settings, contenders, dry_run)
        failed = [row.condition for row in conditions if not row.passed]
        told = [before.named(f"champion: version {before.version}") if before else "champion: none yet"]
        if dry_run:
            would = (
                f"would be refused: {', '.join(failed)}" if failed else "passes so far; test would be looked at then"
            )
            return Outcome(
                conditions,
                [*told, f"{network}: version {number} {would} (dry run, nothing changed)"],
                False,
                not failed,
            )
        untrue = not conditions[0].passed  # the file itself: no reason makes that another one
        what = PROMOTED if not failed else FORCED if force and not untrue else REFUSED
        values = {
            "what": what,
            "network": network,
            "version": int(number),
            "champion_before": int(before.version) if before else None,
            "why": reason or (f"failed: {', '.join(failed)}" if failed else f"passed {len(conditions)} conditions"),
            "failed": failed,
            "rule": settings.rule if settings.rule == "better" else f"not_worse_by {settings.not_worse_by:g}",
            "confidence": settings.confidence,
            **_identities(found, champion, images, "test" in judged),
        }
        with store.locked(store.beside("promote")):
            _second_look(found, before.version if before else None)
            line = _write(found, values, conditions, judged)
        looks = f"looks at these test images by promotions so far: {line['looks_at_test']}"
        return Outcome(
            conditions,
            [*told, f"{network}: version {number} {what} ({values['why']}); {looks}"],
            what != REFUSED,
            not failed,
        )


def rollback(network: str, reason: str | None = None) -> str:
    """Put champion back on the version with the alias previous, which then names the one that was champion.

    Raises ConvzooError where there is no such version, or its file is not the one that was registered.
    """
    _settings(network)
    with _answering(network):
        _check_way_back(network)
        found, champion = _version(network, PREVIOUS), _version(network, CHAMPION)
        contender = _contender(found)
        row = gate.whole_file(contender)
        if not row.passed:
            raise ConvzooError(
                f"{network}: the registry's file of version {contender.version} has sha256 {row.candidate}, expected "
                f"{row.required}; run: convzoo sync"
            )
        values = {
            "what": BACK,
            "network": network,
            "version": int(contender.version),
            "champion_before": int(champion.version.version),
            "why": reason or "no reason given",
            **_identities(found, champion, None, False),
        }
        with store.locked(store.beside("promote")):
            _second_look(found, str(champion.version.version))
            _write(found, values, [], {})
    return (
        f"{network}: version {contender.version} is the champion again, version {values['champion_before']} {PREVIOUS}"
    )


def _settings(network: str) -> Promotion:
    params = read_params()
    check_network_name(params, network)
    promotions = params.values["promotion"]
    if network not in promotions:
        like = f"; write one like promotion.{next(iter(promotions))}" if promotions else ""
        raise SettingsError(f"{params.file}: promotion.{network}: is missing, expected what it must reach{like}")
    return network_settings(params, "promotion", network)


def _answering(network: str) -> AbstractContextManager[None]:
    then = "mend it, look with `convzoo models`, and run the same again"
    return answering(f"{network}: {store.tracking_uri()} failed", then)


def _check_way_back(network: str) -> None:
    aliases = aliases_of(store.use_store(), network)
    for alias in (PREVIOUS, CHAMPION):
        if alias not in aliases:
            raise ConvzooError(
                f"{network}: there is no version with the alias {alias}, expected one, as every promotion after the "
                "first leaves it; look at `convzoo models`, and name the version you want: convzoo promote --version"
            )


def _version(network: str, alias: str) -> Version:
    return find_version(f"{network}@{alias}")


def _contender(found: Version) -> Contender:
    file = found.bring_model(folder_until_exit())
    return Contender(str(found.version.version), file, found.descent, export_of(found))


def _judge(
    settings: Promotion, contenders: list[Contender], dry_run: bool
) -> tuple[list[Condition], Images | None, dict[str, Judged]]:
    """The verdict's rows, the images on disk, and what each split gave; stops at the first part that fails."""
    candidate, *others = contenders
    conditions = [gate.whole_file(candidate)]
    for champion in others:
        row = gate.whole_file(champion)
        if not row.passed:
            named = {"condition": "file of the champion", "candidate": gate.NONE, "champion": row.candidate}
            conditions.append(row._replace(**named))
    if not all(row.passed for row in conditions):
        return conditions, None, {}
    dataset = candidate.identity["data"]["name"]
    now = images_on_disk(dataset)
    champion = others[0] if others else None
    conditions += gate.fit(candidate, champion, dataset, now, _verdict(dataset))
    if not all(row.passed for row in conditions):
        return conditions, now, {}

    folder = Path("data/prepared", dataset)
    measure = ruler(settings, read_json(folder / "meta.json"), candidate.identity["params"]["weights"])
    models = [Model(contender.file) for contender in contenders]
    judged = {"val": gate.judge("val", folder, measure, settings, models)}
    conditions += judged["val"].conditions
    conditions += gate.costs(settings, models, folder / "val")
    if not dry_run and all(row.passed for row in conditions):
        judged["test"] = gate.judge("test", folder, measure, settings, models)
        conditions += judged["test"].conditions
    return conditions, now, judged


def _verdict(dataset: str) -> dict[str, Any]:
    file = Path("data/validated", f"{dataset}.json")
    if not file.is_file():
        raise ConvzooError(f"{file}: is missing, expected the verdict of the data checks; run: dvc repro validate")
    return read_json(file)


def _identities(found: Version, champion: Version | None, images: Images | None, looked: bool) -> dict[str, Any]:
    network, test = found.version.name, images.test if images else None
    return {
        "model_sha256": found.descent["model_sha256"],
        "fingerprint": found.fingerprint,
        "champion_sha256": champion.descent["model_sha256"] if champion else None,
        "val_images": images.val if images else None,
        "test_images": test,
        "looked_at_test": looked,
        "looks_at_test": ledger.looks_at_test(network, test) + looked if test else 0,
    }


def _second_look(found: Version, expected: str | None) -> None:
    """Raises ConvzooError where the champion is not the one that was looked at."""
    now = aliases_of(found.client, found.version.name).get(CHAMPION)
    version = now.version if now else None
    if version != expected:
        raise ConvzooError(
            f"{found.version.name}: the champion became version {version} meanwhile, expected {expected or 'none'} as "
            "before; nothing changed, run the same again to be compared with that one"
        )


def _write(
    found: Version, values: dict[str, Any], conditions: list[Condition], judged: dict[str, Judged]
) -> dict[str, Any]:
    """The aliases, the ledger's line, which is returned, and the verdict with the version; no line, then no alias."""
    client, network, line = found.client, values["network"], ledger.new_line(values)
    title = f"**{values['what']}** {line['when']} by {line['who']}: {values['why']}"
    told, brief = (_told(title, conditions, whole) for whole in (True, False))
    tags = {"verdict": values["what"], "when": line["when"], "who": line["who"], "why": values["why"][:LONGEST_TAG]}
    if "val" in judged and judged["val"].difference:
        tags |= {f"val_gain_{key}": repr(value) for key, value in judged["val"].difference._asdict().items()}
    measured = {split: each.measured for split, each in judged.items()}
    whole = {**line, "conditions": [row._asdict() for row in conditions], "measured": measured}
    before = aliases_of(client, network)
    if values["what"] != REFUSED:
        if values["champion_before"] is not None:
            set_alias(client, network, PREVIOUS, str(values["champion_before"]))
        set_alias(client, network, CHAMPION, str(values["version"]))
    try:
        ledger.append(line)
    except ConvzooError:
        for alias in (PREVIOUS, CHAMPION):
            put_back(client, network, alias, before.get(alias))
        raise
    record(found, tags, told, brief, whole)
    return line


def _told(title: str, conditions: list[Condition], whole: bool) -> str:
    """The verdict as Markdown, with all conditions or those that decided."""
    shown = [row for row in conditions if whole or not row.passed or "gain" in row.condition]
    left = f"{len(conditions) - len(shown)} other conditions were passed; the run has all of them."
    parts = [title, gate.as_markdown(shown) if shown else "", left if len(shown) < len(conditions) else ""]
    return "\n\n".join(filter(None, parts))
