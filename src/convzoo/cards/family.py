"""What a family adds to the cards of its networks: CARD in the module `card` of its folder."""

from collections.abc import Callable
from typing import NamedTuple

from convzoo.cards.markdown import code
from convzoo.families.find import family_module, has_module
from convzoo.shipping.network_files import NetworkFiles


class FamilyCard(NamedTuple):
    """The parts of a card that differ between families."""

    noun: str  # what a network is, such as "a convolutional classifier"
    usage: str  # the arguments of `convzoo` that run a network, with {} for its name
    main_metrics: tuple[str, ...]  # the most important ones, which come first in the table
    intended_use: Callable[[NetworkFiles, str], list[str]]  # lines of Markdown, given the name of the data
    weaknesses: Callable[[NetworkFiles, int], list[str]]  # lines, each with at most so many classes or images
    failures: Callable[[NetworkFiles], list[str]]  # measurements that show that the training failed; none if it worked
    intervals: Callable[[NetworkFiles], dict[str, str]] = lambda files: {}  # of metrics, besides those in metrics.json


def family_card(family: str) -> FamilyCard:
    """The CARD of a family; a general one if there is none, as for a version from a project with more families."""
    if has_module(family, "card"):
        return family_module(family, "card").CARD
    return FamilyCard(
        noun=f"of the family {code(family)}",
        usage="predict {} photo.png",
        main_metrics=(),
        intended_use=lambda files, images: [f"For: images like those of {images}."],
        weaknesses=lambda files, most: [],
        failures=lambda files: [],
    )
