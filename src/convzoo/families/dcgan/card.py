"""What the card of a DCGAN says."""

from typing import Any

from convzoo.cards.family import Comparison, FamilyCard
from convzoo.cards.markdown import code, in_brackets, number
from convzoo.files import read_json
from convzoo.shipping.network_files import NetworkFiles
from convzoo.text import percent

WEAK_BELOW = 0.5  # precision or recall below which a generator is weak, as a share of what real images reach
CAPTIONS = {
    "comparisons": "Distances between generated and real images. Grey: real images against other real ones.",
    "feature_space": "Generated and test images as points in the two main directions of the feature network.",
    "first_and_last": "Images from the same latents after the first, the kept and the last epoch.",
    "latent_walk": "From one latent vector to another in equal steps.",
    "nearest_real_images": "Generated images and the train images most similar to them: are they copies?",
    "progress": "Images from the same latents, epoch by epoch.",
    "real_augmented_generated": "Real images, real images as the discriminator sees them, and generated ones.",
    "samples": "The first generated images, none of them selected.",
}


def task(files: NetworkFiles, images: str, data: str) -> str:
    """Return what the network does."""
    return f"Generates {images} like those of {data}{in_brackets(files.export.get('classes') or [])}"


def result(files: NetworkFiles, value: str) -> str:
    """Return what it reached."""
    return f"distance to the test images (KID, lower is better) {value}"


def comparison(files: NetworkFiles) -> Comparison | None:
    """Compare precision and recall with those of real images."""
    comparisons = files.metrics.get("comparisons", {})
    rows = [comparisons.get(name, {}) for name in ("generated against test", "test against train")]
    if any({"precision", "recall"} - row.keys() for row in rows):
        return None
    generated, real = rows
    sentence = (
        f"Of the generated images, {percent(generated['precision'], 1)} look real (precision); of the real images, "
        f"{percent(generated['recall'], 1)} have a generated one like them (recall). Real images reach "
        f"{percent(real['precision'], 1)} and {percent(real['recall'], 1)}."
    )
    return Comparison(sentence, any(generated[key] < WEAK_BELOW * real[key] for key in ("precision", "recall")))


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the generator is for and what it is not for."""
    chosen = ", of all classes or of one (`--class`)" if files.export.get("conditional") else ""
    return [
        f"For: generating new images similar to those of {data}{chosen}.",
        "Not for: passing generated images off as real ones.",
        "Not for: replacing real images in training or tests; see what is missing under Weaknesses.",
    ]


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return lines about missing and unrealistic images, distances to real ones, mode collapse and copies."""
    lines, comparisons = [], files.metrics.get("comparisons", {})
    generated, real = comparisons.get("generated against test", {}), comparisons.get("test against train", {})
    if "recall" in generated:
        lines.append(
            f"Missing kinds of images: {percent(1 - generated['recall'], 1)} of the test images have no generated one "
            f"like them (1 - recall){_of_real(real, 'recall')}."
        )
    if "precision" in generated:
        lines.append(
            f"Unrealistic images: {percent(1 - generated['precision'], 1)} of the generated images look like no test "
            f"image (1 - precision){_of_real(real, 'precision')}."
        )
    if "kid" in generated:
        of_real = f"; between two sets of real images it is {number('kid', real['kid'])}" if "kid" in real else ""
        lines.append(f"Its distance to the test images (KID) is {number('kid', generated['kid'])}{of_real}.")
    if generated.get("frechet_distance_is", "usable") != "usable":
        lines.append(f"The Frechet distance cannot be used: it is {generated['frechet_distance_is']}.")
    kept = files.folder / "extra/kept.json"
    if kept.is_file():
        lines += _collapse(read_json(kept), most)
    if (files.folder / "plots/nearest_real_images.png").is_file():
        lines.append(
            "Whether it copies train images was not measured; `plots/nearest_real_images.png` shows similar ones."
        )
    return lines


def failures(files: NetworkFiles) -> list[str]:
    """Return the signs of a collapse: precision or recall of zero, samples that are alike, alarms about its epoch."""
    lines, metrics = [], files.numbers
    if metrics.get("test_precision", 1) <= 0:
        lines.append("precision 0: none of its images is like a real one")
    if metrics.get("test_recall", 1) <= 0:
        lines.append("recall 0: no real image has a generated one like it")
    file = files.folder / "extra/kept.json"
    kept = read_json(file) if file.is_file() else {}
    diversity, least = kept.get("val_diversity"), files.identity["params"].get("collapse", {}).get("diversity")
    if None not in (diversity, least) and diversity < least:
        lines.append(
            f"collapsed: its samples vary {percent(diversity)} as much as real images, below collapse.diversity "
            f"({percent(least)})"
        )
    return lines + [alarm for alarm in kept.get("alarms", []) if alarm.startswith(f"epoch {kept.get('epoch')}:")]


def _collapse(kept: dict[str, Any], most: int) -> list[str]:
    """The signs of mode collapse in kept.json."""
    lines = []
    if kept.get("val_diversity") is not None:
        share = percent(kept["val_diversity"], 1)
        lines.append(f"Variety: the features of its images vary {share} as much as those of the val images.")
    alarms = kept.get("alarms", [])
    last = "; ".join(code(alarm, 120) for alarm in alarms[-most:])
    alarmed = f"raised {len(alarms)} alarm{'s' * (len(alarms) > 1)}, the last: {last}" if alarms else "raised no alarm"
    return [*lines, f"The check for mode collapse during training {alarmed}."]


def _of_real(real: dict[str, Any], name: str) -> str:
    """The same share of real images against real ones, for comparison."""
    return f"; between two sets of real images it is {percent(1 - real[name], 1)}" if name in real else ""


CARD = FamilyCard(
    noun="the generator of a DCGAN",
    usage="sample {} --count 16 --seed 0 --out samples/",
    task=task,
    result=result,
    main_label="KID, the distance to the test images",
    higher_is_better=False,
    main_metrics=("test_kid", "test_precision", "test_recall", "test_probe_accuracy", "test_generated_images"),
    intended_use=intended_use,
    weaknesses=weaknesses,
    failures=failures,
    comparison=comparison,
    confidence=0.95,
    picture="samples.png",
    captions=CAPTIONS,
)
