"""A model's card: what a version is, how good, where weak, and how to load and make it again, from the files alone.

It stands in mlflow as the version's description, short, and as models/NETWORK/card.md, whole.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from convzoo.cards.facts import data_of, metrics_of, uses, what_it_is
from convzoo.cards.markdown import bullets, code, table
from convzoo.cards.usage import loading, making
from convzoo.cards.weaknesses import family_of, weaknesses
from convzoo.files import new_file
from convzoo.shipping.network_files import Files, drawn
from convzoo.tracking import store
from convzoo.tracking.live import run_params

FILE = "card.md"  # in models/NETWORK
LIMIT = 5000  # characters of a version's description in mlflow's databases; sqlite alone would take more
RESERVED = 1500  # of those, for what a promotion appends
PROMOTION = re.compile(r"^## Promotion\s*$", re.MULTILINE)  # from here on a description is not the card's
BACKFILLED, COMPLETED = "convzoo.backfilled", "convzoo.completed"  # tags of runs whose times are not the training's

# Params without which a training cannot be told from another; the description has these alone.
ESSENTIAL = (
    *("architecture", "variant", "method", "loss", "optimizer", "epochs", "batch_size", "learning_rate"),
    *("generator_learning_rate", "discriminator_learning_rate", "latents", "latent", "schedule", "seed"),
)
# What a description leaves out for want of room, the first first.
LESS = ("How to make it again", "How it was trained", "How to load it", "Metrics", "Data", "Use and misuse")


class Made(NamedTuple):
    """What mlflow knows of a version and its training; None for what it does not."""

    version: str | None = None
    run_id: str | None = None
    started: int | None = None  # milliseconds since 1970
    ended: int | None = None
    machine: str | None = None
    commit: str | None = None
    changed: str | None = None  # what of params and code differed from the commit
    profile: str | None = None


UNKNOWN = Made()


class Shown(NamedTuple):
    """How much of everything."""

    named: int  # classes and pictures in each line on weaknesses
    metrics: int | None  # None: all
    classes: int | None
    whole: bool = False


WHOLE, BRIEF, BRIEFER = Shown(10, None, None, whole=True), Shown(5, 8, 10), Shown(3, 5, 3)


def known_of(run: store.Run, version: str) -> Made:
    """What a version's run tells; without times that are not the training's own, as of a run made from files."""
    tags = run.data.tags
    timed = not {BACKFILLED, COMPLETED} & tags.keys()
    return Made(
        version=str(version),
        run_id=run.info.run_id,
        started=run.info.start_time if timed else None,
        ended=run.info.end_time if timed else None,
        machine=tags.get("convzoo.machine"),
        commit=tags.get("mlflow.source.git.commit"),
        changed=tags.get("convzoo.dirty"),
        profile=tags.get("convzoo.profile"),
    )


def write_card(files: Files, made: Made) -> None:
    """Write models/NETWORK/card.md, whole. Raises DiskFullError."""
    with new_file(files.folder / FILE) as temporary:
        text = _joined(f"# {files.network}", drawn(files), *_headed(_sections(files, made, WHOLE)))
        temporary.write_text(text + "\n", encoding="utf-8")


def description(files: Files, made: Made, before: str | None) -> str:
    """The card in what mlflow takes, and after it all that `before` has from its line `## Promotion` on."""
    found = PROMOTION.search(before or "")
    kept = f"\n\n{before[found.start() :]}" if found else ""
    room = LIMIT - max(RESERVED, len(kept))
    text = next((text for text in _shorter_and_shorter(files, made) if len(text) <= room), "")
    return text + kept


def _shorter_and_shorter(files: Files, made: Made) -> Iterator[str]:
    yield _joined(drawn(files), *_headed(_sections(files, made, BRIEF)))
    sections = _sections(files, made, BRIEFER)
    yield _joined(drawn(files), *_headed(sections))
    for title in LESS:
        del sections[title]
        yield _joined(drawn(files), *_headed(sections), f"`{files.folder / FILE}` has the rest.")
    yield drawn(files)


def _sections(files: Files, made: Made, shown: Shown) -> dict[str, str]:
    family = family_of(files)
    return {
        "What it is": what_it_is(files, family, made.version, shown.classes),
        "Data": data_of(files),
        "Metrics": metrics_of(files, shown.metrics),
        "Where it is weak": bullets(weaknesses(files, shown.named)),
        "Use and misuse": bullets(uses(files, family)),
        "How it was trained": _training(files, made, shown.whole),
        "How to load it": loading(files, family, made.version, shown.whole),
        "How to make it again": making(files, made.version, made.commit),
    }


def _headed(sections: dict[str, str]) -> list[str]:
    return [f"## {title}\n\n{text}" for title, text in sections.items()]


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _training(files: Files, made: Made, whole: bool) -> str:
    params = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in run_params(files.identity).items()
    }
    commit = f"`{made.commit if whole else made.commit[:12]}`" if made.commit else "unknown"
    changed = made.changed if made.commit and made.changed != "clean" else None
    differs = f", and changes in {code(changed, 2000 if whole else 80)}" if changed else ""
    lines = [
        f"Time: {_time(made)}.",
        f"Machine: {code(made.machine, 120) if made.machine else 'unknown'}.",
        f"Commit: {commit}{differs}. Profile: {code(made.profile) if made.profile else 'unknown'}.",
    ]
    if not whole:
        shown = [f"`{key}` {code(value)}" for key, value in params.items() if key.rpartition(".")[2] in ESSENTIAL]
        return bullets([f"{', '.join(shown)}; the run has all params.", *lines])
    lines.append(f"Run in MLflow: {f'`{made.run_id}`' if made.run_id else 'unknown'}.")
    lines.append(f"Fingerprint of the training: `{files.identity['fingerprint']}`.")
    versions = [f"{name} {version}" for name, version in sorted(files.identity["versions"].items())]
    lines.append(f"Versions: {', '.join(versions) or 'unknown'}.")
    rows = [[f"`{key}`", code(value, 200)] for key, value in params.items()]
    return _joined(bullets(lines), table(["param", "value"], rows))


def _time(made: Made) -> str:
    if made.started is None or made.ended is None:
        return "unknown"
    began, seconds = datetime.fromtimestamp(made.started / 1000, UTC), (made.ended - made.started) / 1000
    return f"{seconds:,.1f} s from {began:%Y-%m-%d %H:%M:%S} UTC on (its run in MLflow, pauses included)"
