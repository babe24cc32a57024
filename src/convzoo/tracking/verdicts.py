"""The verdict of a promotion in MLflow: tags and a section of the version's description, and artifacts of its run."""

from collections.abc import Mapping
from typing import Any

from convzoo.cards.card import DESCRIPTION_LENGTH, PROMOTION, RESERVED
from convzoo.tracking.locks import locked
from convzoo.tracking.registered import VERDICT
from convzoo.tracking.versions import Version

SECTION = "## Promotion"  # begins the last part of a version's description; above it stands the card


def record_verdict(found: Version, tags: Mapping[str, str], whole: str, brief: str, values: Mapping[str, Any]) -> None:
    """Write a verdict: `tags` of the version, Markdown in its description, `values` as JSON in its run.

    The description gets the `brief` Markdown if the `whole` leaves too little room for the card.
    """
    client, name, number = found.client, found.version.name, str(found.version.version)
    for key, value in tags.items():
        client.set_model_version_tag(name, number, VERDICT + key, value)
    with locked(name, "register"):  # a registration updates the card in the same description
        description = client.get_model_version(name, number).description or ""
        card = PROMOTION.split(description, 1)[0].rstrip()
        room = max(RESERVED, DESCRIPTION_LENGTH - len(card)) - len(SECTION) - 4
        verdict = whole if len(whole) <= room else brief[:room]
        client.update_model_version(name, number, f"{card}\n\n{SECTION}\n\n{verdict}".lstrip())
    path = f"promotion/version-{number}-{values['when'].replace(':', '')}"
    client.log_dict(found.run.info.run_id, dict(values), f"{path}.json")
    client.log_text(found.run.info.run_id, f"{SECTION}\n\n{whole}\n", f"{path}.md")
