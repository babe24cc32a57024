"""How good a network is, in words: its main metric with its interval, against a baseline and its limits."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from convzoo.cards.family import Rating, family_card
from convzoo.cards.markdown import interval, quantity
from convzoo.cards.outcome import Outcome, outcome_of
from convzoo.shipping.network_files import NetworkFiles


class Verdict(NamedTuple):
    """The main metric of a network, and whether it is good enough."""

    task: str  # a clause without a full stop: what the network does
    label: str  # of the metric, such as "accuracy on the test images"
    value: str  # with its unit, such as "98.2 %"; empty if it was not measured
    interval: str  # such as "95 % confidence interval 97.2 to 98.9 %"; empty if unknown
    direction: str  # "higher is better" or "lower is better"
    rating: Rating
    reason: str  # a sentence or two
    sentence: str  # task and result with the interval, as a card begins


def verdict_of(files: NetworkFiles, params: Mapping[str, Any]) -> Verdict:
    """Judge models/NETWORK by evaluation.json.

    `params` are the values of params.yaml: its block `evaluation` has the confidence of the intervals, and `promotion`
    the limits of the main metric. The verdict goes without what they lack.
    """
    family, outcome = family_card(files.family), outcome_of(files, params)
    task = family.task(files, *_images(files))
    rating, reason = _rate(files, outcome)
    if outcome.value is None:
        return Verdict(task, family.main_label, "", "", "", rating, reason, f"{task}.")
    value = quantity(outcome.metric, outcome.value)
    confidence = params.get("evaluation", {}).get(files.network, {}).get("confidence", family.confidence)
    bounds = interval(outcome.metric, files.numbers, confidence)
    return Verdict(
        task=task,
        label=family.main_label,
        value=value,
        interval=bounds,
        direction="higher is better" if family.higher_is_better else "lower is better",
        rating=rating,
        reason=reason,
        sentence=f"{task}; {family.result(files, value)}{f' ({bounds})' if bounds else ''}.",
    )


def _rate(files: NetworkFiles, outcome: Outcome) -> tuple[Rating, str]:
    """The measurements of a failure decide, then the baseline and the limits."""
    if outcome.value is None:
        return Rating.UNRATED, "Its main metric was not measured."
    if outcome.failures:
        return Rating.FAILED, f"The training failed: {'; '.join(outcome.failures)}."
    compared = family_card(files.family).comparison(files)
    reasons = [compared.sentence] if compared else []
    if outcome.required:
        reasons.append(f"It {'meets' if outcome.is_good else 'misses'} its target of {outcome.required}.")
    if not reasons:
        return Rating.UNRATED, "There is no baseline to compare it with."
    is_weak = (compared and compared.is_weak) or not outcome.is_good
    return Rating.WEAK if is_weak else Rating.GOOD, " ".join(reasons)


def _images(files: NetworkFiles) -> tuple[str, str]:
    """The network's data in words, such as "28x28 grey images" and "the data set mnist"."""
    height, width, channels = files.meta.get("shape", (0, 0, 0))
    size = f"{width}x{height} {'grey' if channels == 1 else 'colour'} " if channels else ""
    drawn = "drawn " if files.is_synthetic else ""
    return f"{size}images", f"the {drawn}data set {files.export['dataset']}"
