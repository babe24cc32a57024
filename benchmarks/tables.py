"""The results of the benchmarks as Markdown, and as a plot."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from convzoo.cards.markdown import number, percent
from convzoo.commands.results import with_section
from convzoo.files import new_file

NOT_KNOWN = "-"
SECTIONS = ("training", "textbook", "inference", "int8", "decoding", "validation", "profile")


def texts(results: dict[str, Any]) -> dict[str, str]:
    """The Markdown of each section that `results` has, under a line about the machine and the way of measuring."""
    about = results["about"]
    line = (
        f"{about['processor']}, {about['cores']} cores, {about['precision']}, {about['threads']} threads, profile "
        f"`{about['profile']}`; {about['versions']}; medians of {about['repeats']} turns of {about['seconds']:g} s, "
        f"load {about['load']:.1f} before"
    )
    write = {
        "training": _training,
        "textbook": _textbook,
        "inference": _inference,
        "int8": _int8,
        "decoding": _decoding,
        "validation": _validation,
        "profile": _profile,
    }
    return {name: f"{line}.\n\n{write[name](results[name])}" for name in SECTIONS if results.get(name)}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def replaced(text: str, sections: dict[str, str]) -> str:
    """`text` with each of `sections` between its markers, as in <!-- bench training --> and <!-- end training -->.

    Raises ConvzooError if a marker is missing.
    """
    for name, section in sections.items():
        text = with_section(text, section, f"<!-- bench {name} -->", f"<!-- end {name} -->", "docs/performance.md")
    return text


def draw(results: dict[str, Any], path: Path) -> None:
    """Plot where the time of each network's step goes: convolutions, the rest of the network, and what is outside."""
    from convzoo.plots import BLUE, GREY, ORANGE, picture

    rows = results["training"][::-1]
    names = [row["network"] for row in rows]
    alone = [min(row["alone"], 1 - row["outside"]) for row in rows]
    inside = [1 - row["outside"] - part for row, part in zip(rows, alone, strict=True)]
    with picture(path, 8, 1.3 + 0.35 * len(rows)) as figure:
        axes = figure.add_subplot()
        axes.barh(names, alone, color=BLUE, label="convolutions and matrix products, as fast as alone")
        axes.barh(names, inside, left=alone, color=ORANGE, label="the rest of the network")
        outside = [row["outside"] for row in rows]
        left = [one + other for one, other in zip(alone, inside, strict=True)]
        axes.barh(names, outside, left=left, color=GREY, label="outside the network")
        axes.set(xlim=(0, 1), xlabel="share of a training step")
        axes.set_title("Where the time of a training step goes")
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)


def write(results: dict[str, Any], folder: Path) -> list[Path]:
    """Write the tables and the plot into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "bench.md"]
    with new_file(files[0]) as temporary:
        temporary.write_text("\n\n".join(f"## {name}\n\n{text}" for name, text in texts(results).items()) + "\n")
    if results.get("training"):
        files.append(folder / "bench.png")
        draw(results, files[-1])
    return files


def _rows(results: list[dict[str, Any]], columns: dict[str, Callable[[dict[str, Any]], str]]) -> str:
    """A table with a row per result; `columns` has the text of a cell by the head of its column."""
    return table([*columns], ([cell(row) for cell in columns.values()] for row in results))


def _network(row: dict[str, Any]) -> str:
    return f"`{row['network']}`"


def _training(rows: list[dict[str, Any]]) -> str:
    return _rows(
        rows,
        {
            "network": _network,
            "batch": lambda row: str(row["batch"]),
            "images/s": lambda row: f"{row['images']:.0f}",
            "lowest to highest": lambda row: f"{row['images_low']:.0f} to {row['images_high']:.0f}",
            "GFLOP/s": lambda row: f"{row['gflops']:.0f}",
            "alone": lambda row: f"{row['gflops_alone']:.0f}",
            "share": lambda row: percent(row["alone"], 0),
            "outside the network": lambda row: percent(row["outside"], 1),
            "peak memory": lambda row: f"{row['peak_bytes'] / 1e9:.2f} GB",
            "petaflops": lambda row: f"{row['quality']['petaflops']:.3g}" if row["quality"] else NOT_KNOWN,
            "reached": _reached,
        },
    )


def _reached(row: dict[str, Any]) -> str:
    if not row["quality"]:
        return NOT_KNOWN
    metric, value = row["quality"]["metric"], row["quality"]["value"]
    return f"{metric.removeprefix('test_')} {number(metric, value)}"


def _textbook(rows: list[dict[str, Any]]) -> str:
    return _rows(
        rows,
        {
            "network": _network,
            "settings": lambda row: ", ".join(f"{k}: {v}" for k, v in row["changes"].items()) or "of the profile",
            "images/s": lambda row: f"{row['images']:.0f}",
            "textbook, images/s": lambda row: f"{row['textbook_images']:.0f}",
            "ratio": lambda row: f"{row['times_as_fast']:.2f}",
            "whole training, extrapolated": _extrapolated,
        },
    )


def _extrapolated(row: dict[str, Any]) -> str:
    if "extrapolated" not in row:
        return NOT_KNOWN
    epochs = f"{row['epochs']} epochs against {row['textbook_epochs']}"
    return f"{row['extrapolated']:.1f} times less time ({epochs})"


def _inference(rows: list[dict[str, Any]]) -> str:
    return _rows(
        rows,
        {
            "network": _network,
            "batch": lambda row: str(row["batch"]),
            "ONNX, ms": lambda row: f"{1e3 * row['onnx_seconds']:.2f}",
            "eager PyTorch, ms": lambda row: f"{1e3 * row['eager_seconds']:.2f}",
            "ONNX, images/s": lambda row: f"{row['batch'] / row['onnx_seconds']:.0f}",
            "ratio": lambda row: f"{row['times_as_fast']:.2f}",
        },
    )


def _int8(rows: list[dict[str, Any]]) -> str:
    return _rows(
        rows,
        {
            "network": _network,
            "val": lambda row: percent(row["val_float"]),
            "val in int8": lambda row: percent(row["val_int8"]),
            "same class": lambda row: percent(row["val_agreement"]),
            "kept": lambda row: "yes" if row["kept"] else "no",
            "test": lambda row: percent(row["test_float"]),
            "test in int8": lambda row: percent(row["test_int8"]),
            "size": lambda row: f"{row['bytes']['int8'] / row['bytes']['float']:.2f}",
            "ratio, batch 1": lambda row: f"{row['times_as_fast_1']:.2f}",
            "ratio, batch 256": lambda row: f"{row['times_as_fast_256']:.2f}",
        },
    )


def _decoding(rows: list[dict[str, Any]]) -> str:
    return _rows(
        rows,
        {
            "data set": lambda row: f"`{row['dataset']}`",
            "side": lambda row: str(row["side"]),
            "file": lambda row: row["kind"],
            "bytes": lambda row: f"{row['bytes']:.0f}",
            "one thread, images/s": lambda row: f"{row['one_thread']:.0f}",
            "all threads, images/s": lambda row: f"{row['all_threads']:.0f}",
            "threads": lambda row: str(row["threads"]),
        },
    )


def _validation(result: dict[str, Any]) -> str:
    return _rows(
        [result],
        {
            "images": lambda row: f"{row['images']:,}",
            "`validate`, without imports": lambda row: f"{row['seconds']:.1f} s",
            "per image": lambda row: f"{row['milliseconds_per_image']:.2f} ms",
        },
    )


def _profile(rows: list[dict[str, Any]]) -> str:
    def shares(row: dict[str, Any]) -> str:
        return ", ".join(f"{item['operation']} {percent(item['share'], 0)}" for item in row["profile"])

    return _rows(rows, {"network": _network, "operations of a step, by their time": shares})
