"""What a family adds to the cards of its networks: CARD in the module `card` of its folder."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from convzoo.cards.markdown import code
from convzoo.families.find import family_module, has_module
from convzoo.shipping.network_files import NetworkFiles


class Rating(StrEnum):
    """How good a network is; the value is what a reader sees."""

    GOOD = "good"
    WEAK = "weak"
    FAILED = "failed"
    UNRATED = "not rated"


class Comparison(NamedTuple):
    """A network against a baseline, such as guessing."""

    sentence: str
    is_weak: bool = False  # better than a network that failed, but not good


class FamilyCard(NamedTuple):
    """The parts of a card that differ between families."""

    noun: str  # what a network is, such as "a convolutional classifier"
    usage: str  # the arguments of `convzoo` that run a network, with {} for its name
    task: Callable[[NetworkFiles, str, str], str]  # what it does, given "28x28 grey images" and "the data set mnist"
    result: Callable[[NetworkFiles, str], str]  # what it reached, given the main metric's value as text
    main_label: str  # of the main metric, such as "accuracy on the test images"
    higher_is_better: bool  # whether that is so for the main metric
    main_metrics: tuple[str, ...]  # the most important ones, first in the table; the main metric comes first
    intended_use: Callable[[NetworkFiles, str], list[str]]  # lines of Markdown, given the name of the data
    weaknesses: Callable[[NetworkFiles, int], list[str]]  # lines, each with at most so many classes or images
    comparison: Callable[[NetworkFiles], Comparison | None]  # None if there is no baseline
    failures: Callable[[NetworkFiles], list[str]] = lambda files: []  # measurements that show that the training failed
    intervals: Callable[[NetworkFiles], dict[str, str]] = lambda files: {}  # of metrics, besides `_low` and `_high`
    confidence: float | None = None  # of the intervals, if the evaluation has no setting for it
    picture: str = ""  # the file in plots/ that shows best what a network does
    captions: Mapping[str, str] = MappingProxyType({})  # a sentence for each picture in plots/, by name without suffix


def family_card(family: str) -> FamilyCard:
    """The CARD of a family; a general one if there is none, as for a version from a project with more families."""
    if has_module(family, "card"):
        return family_module(family, "card").CARD
    return FamilyCard(
        noun=f"of the family {code(family)}",
        usage="predict {} photo.png",
        task=lambda files, images, data: f"A network of the family {family} for {images} of {data}",
        result=lambda files, value: "",
        main_label="",
        higher_is_better=True,
        main_metrics=(),
        intended_use=lambda files, images: [f"For: images like those of {images}."],
        weaknesses=lambda files, most: [],
        comparison=lambda files: None,
    )
