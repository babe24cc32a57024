"""What the card of a DCGAN says."""

from typing import Any

from convzoo.cards.family import FamilyCard
from convzoo.cards.markdown import code, number, percent
from convzoo.files import read_json
from convzoo.shipping.network_files import NetworkFiles


def intended_use(files: NetworkFiles, data: str) -> list[str]:
    """Return what the generator is for and what it is not for."""
    return [
        f"For: generating new images similar to those of {data}.",
        "Not for: passing generated images off as real ones.",
        "Not for: replacing real images in training or tests; see what is missing under Weaknesses.",
    ]


def weaknesses(files: NetworkFiles, most: int) -> list[str]:
    """Return lines about missing and unrealistic images, distances to real ones, mode collapse and copies."""
    lines, comparisons = [], files.metrics.get("comparisons", {})
    generated, real = comparisons.get("generated against test", {}), comparisons.get("test against train", {})
    if "recall" in generated:
        lines.append(
            f"Mode collapse and missing kinds: {percent(generated['recall'])} of the test images have generated ones "
            f"like them (recall){_of_real(real, 'recall')}."
        )
    if "precision" in generated:
        lines.append(
            f"Unlike real ones: {percent(1 - generated['precision'])} of the generated images are not among the test "
            f"images (1 - precision){_of_real(real, 'precision', complement=True)}."
        )
    if "kid" in generated:
        lines.append(f"KID to test {number('kid', generated['kid'])}{_of_real(real, 'kid')}; smaller is better.")
    if generated.get("frechet_distance_is", "usable") != "usable":
        lines.append(f"The Frechet distance is {generated['frechet_distance_is']}.")
    kept = files.folder / "extra/kept.json"
    if kept.is_file():
        lines += _collapse(read_json(kept), most)
    if (files.folder / "plots/nearest_real_images.png").is_file():
        lines.append(
            "Copies: not measured; `plots/nearest_real_images.png` shows the train images next to generated ones."
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
        share = percent(kept["val_diversity"])
        lines.append(f"Variety: the features of its samples vary {share} as much as those of the val images.")
    alarms = kept.get("alarms", [])
    last = "; ".join(code(alarm, 120) for alarm in alarms[-most:])
    alarmed = f"{len(alarms)}, the last: {last}" if alarms else "none"
    return [*lines, f"Alarms of mode collapse during training: {alarmed}."]


def _of_real(real: dict[str, Any], name: str, complement: bool = False) -> str:
    """The same metric of real images against real ones, for comparison."""
    if name not in real:
        return ""
    return f"; of real images against real ones {number(name, 1 - real[name] if complement else real[name])}"


CARD = FamilyCard(
    noun="the generator of a DCGAN",
    usage="sample {} --count 16 --seed 0 --out samples/",
    main_metrics=("test_kid", "test_precision", "test_recall", "test_probe_accuracy", "test_generated_images"),
    intended_use=intended_use,
    weaknesses=weaknesses,
    failures=failures,
)
