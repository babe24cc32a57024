"""What a network does with images, and the command that runs it."""

from convzoo.cards.family import family_card
from convzoo.shipping.model import Model

# By the command that runs a network: what such a network does, for messages.
TASKS = {"predict": "classifies images", "reconstruct": "reconstructs images", "sample": "generates images"}


def task_of(model: Model) -> str | None:
    """The command that a model is for, by what it takes and returns; None if it is for none of TASKS."""
    classes = model.described.get("classes")
    if model.input.name == "latents":
        return "sample" if family_card(model.described.get("family", "")).usage.startswith("sample ") else None
    if model.input.dtype != "uint8":
        return None
    if model.output.dtype == "uint8" and model.output.shape == model.input.shape:
        return "reconstruct"
    return "predict" if classes and model.output.shape[1:] == (len(classes),) else None
