"""The model card of a version: what it is, how good it is, its weaknesses, and how to load and rebuild it.

Everything is read from the network's files; what only MLflow knows is added if it is known. MLflow shows a short
version as the description of the model version; the whole card is models/NETWORK/card.md.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from convzoo.cards.facts import about, data, intended_use, metrics, weaknesses
from convzoo.cards.markdown import bullets, code, table
from convzoo.cards.usage import loading, rebuilding
from convzoo.cards.verdict import verdict_of
from convzoo.files import new_file
from convzoo.lineage.record import stage_params
from convzoo.shipping.network_files import NetworkFiles, synthetic_note
from convzoo.tracking.labels import param_text, run_params

FILE = "card.md"  # in models/NETWORK
DESCRIPTION_LENGTH = 5000  # characters of a description that MLflow's server databases take; sqlite would take more
RESERVED = 1500  # of these, for the section that a promotion appends
PROMOTION = re.compile(r"^## Promotion\s*$", re.MULTILINE)  # begins the part of a description that is not the card

# The params that a description shows: those that tell trainings apart.
ESSENTIAL_PARAMS = (
    *("architecture", "variant", "method", "loss", "optimizer", "epochs", "batch_size", "learning_rate"),
    *("generator_learning_rate", "discriminator_learning_rate", "latents", "latent", "schedule", "seed"),
)
# The sections that a description omits if there is not enough room, in this order.
OMITTED = ("How to rebuild it", "Training", "How to load it", "Metrics", "Data", "Intended use")


class Provenance(NamedTuple):
    """What MLflow knows about a version and its training; None if unknown."""

    version: str | None = None
    run_id: str | None = None
    started: int | None = None  # milliseconds since 1970
    ended: int | None = None
    machine: str | None = None
    commit: str | None = None
    changed: str | None = None  # the files among params and code that differed from the commit
    profile: str | None = None


UNKNOWN = Provenance()


class Detail(NamedTuple):
    """How much a card shows."""

    items: int  # classes and images in each weakness
    metrics: int | None  # None: all
    classes: int | None  # None: all
    whole: bool = False


WHOLE, BRIEF, BRIEFER = Detail(10, None, None, whole=True), Detail(5, 8, 10), Detail(2, 5, 3)


class Card:
    """The card of models/NETWORK, for one version."""

    def __init__(self, files: NetworkFiles, lineage: dict[str, Any], provenance: Provenance = UNKNOWN) -> None:
        evaluation = stage_params(lineage, f"evaluate@{files.network}").get(f"evaluation.{files.network}", {})
        self.files = files
        self.confidence = evaluation.get("confidence")  # of the intervals
        self.verdict = verdict_of(files, {"evaluation": {files.network: evaluation}})
        self.provenance = provenance

    def write(self) -> None:
        """Write the whole card to models/NETWORK/card.md. Raises DiskFullError."""
        text = _paragraphs(f"# {self.files.network}", *self._parts(self._sections(WHOLE)))
        with new_file(self.files.folder / FILE) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")

    def description(self, current: str | None) -> str:
        """The card as a description of the length that MLflow takes.

        Keeps the part of the `current` description from its line `## Promotion` on.
        """
        promotion = PROMOTION.search(current or "")
        kept = f"\n\n{current[promotion.start() :]}" if promotion else ""
        room = DESCRIPTION_LENGTH - max(RESERVED, len(kept))
        return next((text for text in self._shorter_and_shorter() if len(text) <= room), "") + kept

    def _shorter_and_shorter(self) -> Iterator[str]:
        yield _paragraphs(*self._parts(self._sections(BRIEF)))
        sections = self._sections(BRIEFER)
        yield _paragraphs(*self._parts(sections))
        for title in OMITTED:
            del sections[title]
            yield _paragraphs(*self._parts(sections), f"`{self.files.folder / FILE}` has the rest.")
        yield _paragraphs(*self._beginning())

    def _parts(self, sections: dict[str, str]) -> list[str]:
        return [*self._beginning(), *(f"## {title}\n\n{text}" for title, text in sections.items())]

    def _beginning(self) -> list[str]:
        """What it does and how well, in one line, since MLflow's list of versions shows the first; then its rating."""
        rating = f"Rating: {self.verdict.rating}. {self.verdict.reason}"
        return [self.verdict.sentence, rating, synthetic_note(self.files)]

    def _sections(self, detail: Detail) -> dict[str, str]:
        files, version = self.files, self.provenance.version
        return {
            "Model": about(files, version, detail.classes),
            "Data": data(files),
            "Metrics": metrics(files, self.confidence, detail.metrics),
            "Weaknesses": bullets(weaknesses(files, detail.items)),
            "Intended use": bullets(intended_use(files)),
            "Training": self._training(detail.whole),
            "How to load it": loading(files, version, detail.whole),
            "How to rebuild it": rebuilding(files, version, self.provenance.commit),
        }

    def _training(self, whole: bool) -> str:
        known, identity = self.provenance, self.files.identity
        params = {key: param_text(value) for key, value in run_params(identity).items()}
        commit = f"`{known.commit if whole else known.commit[:12]}`" if known.commit else "unknown"
        is_changed = known.commit and known.changed and known.changed != "clean"
        changes = f", with changes in {code(known.changed, 2000 if whole else 80)}" if is_changed else ""
        lines = [
            f"Time: {_time(known)}.",
            f"Machine: {code(known.machine, 120) if known.machine else 'unknown'}.",
            f"Commit: {commit}{changes}. Profile: {code(known.profile) if known.profile else 'unknown'}.",
        ]
        if not whole:
            essential = [
                f"`{key}` {code(value)}" for key, value in params.items() if key.rpartition(".")[2] in ESSENTIAL_PARAMS
            ]
            return bullets([f"{', '.join(essential)}; the run has all params.", *lines])
        versions = [f"{name} {version}" for name, version in sorted(identity["versions"].items())]
        lines += [
            f"Run in MLflow: {f'`{known.run_id}`' if known.run_id else 'unknown'}.",
            f"Fingerprint of the training: `{identity['fingerprint']}`.",
            f"Versions: {', '.join(versions) or 'unknown'}.",
        ]
        rows = [[f"`{key}`", code(value, 200)] for key, value in params.items()]
        return _paragraphs(bullets(lines), table(["param", "value"], rows))


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def _time(known: Provenance) -> str:
    if known.started is None or known.ended is None:
        return "unknown"
    start, seconds = datetime.fromtimestamp(known.started / 1000, UTC), (known.ended - known.started) / 1000
    return f"{seconds:,.1f} s, started {start:%Y-%m-%d %H:%M:%S} UTC (its run in MLflow, including pauses)"
