"""Pictures for mlflow's image grid: those that a training made by epoch stand on a slider, the others at its end."""

from collections.abc import Iterator
from typing import NamedTuple

from mlflow import MlflowClient
from PIL import Image, ImageSequence

from convzoo.shipping.network_files import Files

FRAMES = 12  # at most, of an animation
# What is shown of a network, by what mlflow calls it.
ANIMATIONS = {"generated": "plots/progress.gif"}
LAST = {"confusion": "plots/confusion.png", "reconstructions": "plots/reconstructions.png"}


class Picture(NamedTuple):
    """A picture, its name and its epoch."""

    key: str
    epoch: int
    image: Image.Image


def log_pictures(client: MlflowClient, run_id: str, files: Files, anew: bool = False) -> None:
    """Log the pictures that the run lacks; `anew`: those of the evaluation again, since they may have changed."""
    stored = {entry.path for entry in client.list_artifacts(run_id, "images")}
    whole = {path.rpartition("+timestamp+")[0] for path in stored if path.endswith("+compressed.webp")}  # written last
    for key, epoch, image in pictures(files):
        if f"images/{key}+step+{epoch}" not in whole or (anew and key in LAST):
            client.log_image(run_id, image, key=key, step=epoch)


def pictures(files: Files) -> Iterator[Picture]:
    """The pictures of models/NETWORK that its family makes, in the order of epochs."""
    for key, name in ANIMATIONS.items():
        if files.folder.joinpath(name).is_file():
            yield from _frames(files, key, name)
    for key, name in LAST.items():
        if files.folder.joinpath(name).is_file():
            with Image.open(files.folder / name) as image:
                yield Picture(key, max(files.history), image.convert("RGB"))


def _frames(files: Files, key: str, name: str) -> Iterator[Picture]:
    """First, last, and evenly between; a frame was drawn at each epoch that was judged."""
    epochs = [epoch for epoch, row in sorted(files.history.items()) if "val_kid" in row]
    file = files.folder / name
    with Image.open(file) as animation:
        frames = ImageSequence.all_frames(animation)
    if len(frames) != len(epochs):
        told = f"has {len(frames)} pictures, expected {len(epochs)}, one for each epoch with a finite val_kid"
        print(f"warning: {file}: {told}; mlflow's slider goes without them", flush=True)
        return
    steps = min(FRAMES, len(frames)) - 1
    for number in range(steps + 1):
        chosen = round(number * (len(frames) - 1) / max(steps, 1))
        yield Picture(key, epochs[chosen], frames[chosen].convert("RGB").quantize(256))
