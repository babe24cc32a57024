"""How good a network is: its main metric with its interval, against a baseline and the target for a promotion."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from convzoo.cards.family import MainMetric, Outcome, family_card
from convzoo.cards.markdown import interval, quantity
from convzoo.shipping.network_files import NetworkFiles

NO_SETTINGS: Mapping[str, Any] = {}


class Verdict(NamedTuple):
    """The main metric of a network, and whether it is good enough."""

    task: str  # a clause without a full stop: what the network does
    label: str  # of the metric, such as "accuracy"; empty if there is no metric
    value: str  # with its unit, such as "98.2 %"
    interval: str  # such as "95 % confidence interval 97.2 to 98.9 %"; empty if unknown
    direction: str  # "higher is better" or "lower is better"
    outcome: Outcome
    reason: str  # a sentence or two
    sentence: str  # task and result with the interval, as a card begins


def verdict_of(
    files: NetworkFiles, evaluation: Mapping[str, Any] = NO_SETTINGS, promotion: Mapping[str, Any] = NO_SETTINGS
) -> Verdict:
    """Judge models/NETWORK by evaluation.json.

    `evaluation` and `promotion` are the network's blocks of params.yaml: the one has the confidence of the intervals,
    the other the target, which is left out of the verdict if it is not given.
    """
    family = family_card(files.family)
    task, main = family.task(files, *_images(files)), family.main
    value = files.numbers.get(main.key) if main else None
    if main is None or value is None:
        reason = "Its main metric was not measured."
        return Verdict(task, "", "", "", "", Outcome.UNRATED, reason, f"{task}.")
    text = quantity(main.key, value)
    bounds = interval(main.key, files.numbers, evaluation.get("confidence", family.confidence))
    outcome, reason = _judge(files, main, value, promotion)
    result = family.result(files, text)
    in_brackets = f" ({bounds})" if bounds else ""
    return Verdict(
        task=task,
        label=main.label,
        value=text,
        interval=bounds,
        direction="higher is better" if main.higher_is_better else "lower is better",
        outcome=outcome,
        reason=reason,
        sentence=f"{task}; {result}{in_brackets}.",
    )


def _judge(files: NetworkFiles, main: MainMetric, value: float, promotion: Mapping[str, Any]) -> tuple[Outcome, str]:
    """The baseline decides; a network that beats it but misses its target is weak."""
    outcome, reason = family_card(files.family).rating(files)
    if outcome is Outcome.FAILED:
        return outcome, f"This training failed. {reason}"
    name = main.key.removeprefix("test_")
    target = promotion.get("floors" if main.higher_is_better else "ceilings", {}).get(name)
    if target is None:
        return outcome, reason
    is_met = value >= target if main.higher_is_better else value <= target
    limit = f"{'at least' if main.higher_is_better else 'at most'} {quantity(main.key, target)}"
    reason += f" It {'meets' if is_met else 'misses'} its target of {limit}."
    if outcome is not Outcome.WEAK:
        outcome = Outcome.GOOD if is_met else Outcome.WEAK
    return outcome, reason


def _images(files: NetworkFiles) -> tuple[str, str]:
    """The network's data in words, such as "28x28 grey images" and "the data set mnist"."""
    height, width, channels = files.meta.get("shape", (0, 0, 0))
    size = f"{width}x{height} {'grey' if channels == 1 else 'colour'} " if channels else ""
    drawn = "drawn " if files.is_synthetic else ""
    return f"{size}images", f"the {drawn}data set {files.export['dataset']}"
