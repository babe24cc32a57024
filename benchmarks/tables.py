"""The results of the benchmarks as Markdown, and as a plot."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from convzoo.cards.markdown import number
from convzoo.errors import ConvzooError
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
        start, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
        before, found, rest = text.partition(start)
        _, also_found, after = rest.partition(end)
        if not found or not also_found:
            raise ConvzooError(f"docs/performance.md: expected the lines {start} and {end}; restore it: git checkout")
        text = f"{before}{start}\n\n{section}\n\n{end}{after}"
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


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _training(rows: list[dict[str, Any]]) -> str:
    head = ("network", "batch", "images/s", "lowest to highest", "GFLOP/s", "alone", "share", "outside the network")
    head += ("peak memory", "petaflops", "reached")
    cells = []
    for row in rows:
        reached = row["quality"]
        metric = reached and reached["metric"]
        cells.append(
            (
                f"`{row['network']}`",
                str(row["batch"]),
                f"{row['images']:.0f}",
                f"{row['images_low']:.0f} to {row['images_high']:.0f}",
                f"{row['gflops']:.0f}",
                f"{row['gflops_alone']:.0f}",
                _percent(row["alone"]),
                f"{100 * row['outside']:.1f} %",
                f"{row['peak_bytes'] / 1e9:.2f} GB",
                f"{reached['petaflops']:.3g}" if reached else NOT_KNOWN,
                f"{metric.removeprefix('test_')} {number(metric, reached['value'])}" if reached else NOT_KNOWN,
            )
        )
    return table(head, cells)


def _textbook(rows: list[dict[str, Any]]) -> str:
    head = ("network", "settings", "images/s", "textbook, images/s", "ratio", "whole training, extrapolated")
    cells = []
    for row in rows:
        whole = NOT_KNOWN
        if "extrapolated" in row:
            epochs = f"{row['epochs']} epochs against {row['textbook_epochs']}"
            whole = f"{row['extrapolated']:.1f} times less time ({epochs})"
        changes = ", ".join(f"{key}: {value}" for key, value in row["changes"].items()) or "of the profile"
        cells.append(
            (
                f"`{row['network']}`",
                changes,
                f"{row['images']:.0f}",
                f"{row['textbook_images']:.0f}",
                f"{row['times_as_fast']:.2f}",
                whole,
            )
        )
    return table(head, cells)


def _inference(rows: list[dict[str, Any]]) -> str:
    head = ("network", "batch", "ONNX, ms", "eager PyTorch, ms", "ONNX, images/s", "ratio")
    return table(
        head,
        (
            (
                f"`{row['network']}`",
                str(row["batch"]),
                f"{1e3 * row['onnx_seconds']:.2f}",
                f"{1e3 * row['eager_seconds']:.2f}",
                f"{row['batch'] / row['onnx_seconds']:.0f}",
                f"{row['times_as_fast']:.2f}",
            )
            for row in rows
        ),
    )


def _int8(rows: list[dict[str, Any]]) -> str:
    head = ("network", "val", "in int8", "same class", "kept", "test", "in int8", "size", "ratio, batch 1", "batch 256")
    return table(
        head,
        (
            (
                f"`{row['network']}`",
                f"{row['val_float']:.2%}",
                f"{row['val_int8']:.2%}",
                f"{row['val_agreement']:.2%}",
                "yes" if row["kept"] else "no",
                f"{row['test_float']:.2%}",
                f"{row['test_int8']:.2%}",
                f"{row['bytes']['int8'] / row['bytes']['float']:.2f}",
                f"{row['times_as_fast_1']:.2f}",
                f"{row['times_as_fast_256']:.2f}",
            )
            for row in rows
        ),
    )


def _decoding(rows: list[dict[str, Any]]) -> str:
    head = ("data set", "side", "file", "bytes", "one thread, images/s", "all threads, images/s", "threads")
    return table(
        head,
        (
            (
                f"`{row['dataset']}`",
                str(row["side"]),
                row["kind"],
                f"{row['bytes']:.0f}",
                f"{row['one_thread']:.0f}",
                f"{row['all_threads']:.0f}",
                str(row["threads"]),
            )
            for row in rows
        ),
    )


def _validation(row: dict[str, Any]) -> str:
    cells = (f"{row['images']:,}", f"{row['seconds']:.1f} s", f"{row['milliseconds_per_image']:.2f} ms")
    return table(("images", "`validate`, without imports", "per image"), [cells])


def _profile(rows: list[dict[str, Any]]) -> str:
    cells = [
        (f"`{row['network']}`", ", ".join(f"{item['operation']} {_percent(item['share'])}" for item in row["profile"]))
        for row in rows
    ]
    return table(("network", "operations of a step, by their time"), cells)
