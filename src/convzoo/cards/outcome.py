"""How good a network is: its main metric, the value that params.yaml requires, and measurements that it failed by."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from convzoo.cards.family import family_card
from convzoo.cards.markdown import number
from convzoo.shipping.network_files import NetworkFiles


class Outcome(NamedTuple):
    """The result of a network on test."""

    network: str
    dataset: str
    is_synthetic: bool  # the images are drawn, not real
    metric: str  # as in metrics.json, such as `test_accuracy`; empty if the family names none
    value: float | None  # None if metrics.json lacks it
    floor: float | None  # smallest value that params.yaml allows for a champion; None if it has no such limit
    ceiling: float | None  # largest such value
    failures: list[str]  # measurements that show that the training failed; none if it worked

    @property
    def value_text(self) -> str:
        """The value with its unit, as in `97.30 %` or `26.14 dB`."""
        return number(self.metric, self.value)

    @property
    def required(self) -> str:
        """The limits with their unit, as in `at least 95.00 %`; empty if there is none."""
        limits = (("at least", self.floor), ("at most", self.ceiling))
        return ", ".join(f"{words} {number(self.metric, float(limit))}" for words, limit in limits if limit is not None)

    @property
    def is_good(self) -> bool:
        """Whether the value is within the limits, if there are any, and nothing shows that the training failed."""
        if self.value is None or self.failures:
            return False
        return (self.floor is None or self.value >= self.floor) and (self.ceiling is None or self.value <= self.ceiling)


def outcome_of(files: NetworkFiles, params: Mapping[str, Any]) -> Outcome:
    """The result of a network. `params` are the values of params.yaml, whose `promotion` has the limits."""
    family = family_card(files.family)
    metric = next(iter(family.main_metrics), "")
    limits, key = params.get("promotion", {}).get(files.network, {}), metric.removeprefix("test_")
    return Outcome(
        network=files.network,
        dataset=files.export["dataset"],
        is_synthetic=files.is_synthetic,
        metric=metric,
        value=files.numbers.get(metric),
        floor=limits.get("floors", {}).get(key),
        ceiling=limits.get("ceilings", {}).get(key),
        failures=family.failures(files),
    )
