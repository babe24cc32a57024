"""What the benchmarks write from their results, and what the command refuses."""

import pytest
from helpers.project import ROOT

from benchmarks import tables
from benchmarks.__main__ import main
from benchmarks.preparing import FORMATS, encoded
from convzoo import portable
from convzoo.data.formats.decoding import PictureFormat, decode
from convzoo.errors import ConvzooError

ABOUT = {"processor": "P", "cores": 2, "precision": "fp32", "threads": 1, "profile": "test", "versions": "torch 1"}
ABOUT |= {"repeats": 5, "seconds": 3.0, "load": 0.25}
TRAINING = {"network": "net", "batch": 50, "images": 1234.4, "images_low": 1200.0, "images_high": 1300.0}
TRAINING |= {"gflops": 41.0, "gflops_alone": 52.0, "alone": 0.788, "outside": 0.054, "peak_bytes": 1_500_000_000}
TRAINING |= {"profile": [{"operation": "aten::mm", "share": 0.6}, {"operation": "aten::add", "share": 0.21}]}
QUALITY = {"petaflops": 0.01234, "epochs": 3, "metric": "test_accuracy", "value": 0.961}
TEXTBOOK = {"network": "net", "changes": {}, "images": 100.0, "textbook_images": 25.0, "times_as_fast": 4.0}
TEXTBOOK |= {"epochs": 7, "textbook_epochs": 35, "extrapolated": 20.0}
INFERENCE = {"network": "net", "batch": 256, "onnx_seconds": 0.5, "eager_seconds": 1.0, "times_as_fast": 2.0}
INT8 = {"network": "net", "val_float": 0.96, "val_int8": 0.9575, "val_agreement": 0.99, "kept": False}
INT8 |= {"test_float": 0.95, "test_int8": 0.94, "bytes": {"float": 1000, "int8": 260}}
INT8 |= {"times_as_fast_1": 0.9, "times_as_fast_256": 1.254}
DECODING = {"dataset": "set", "side": 32, "kind": "PNG", "bytes": 2222.2, "one_thread": 1000.0, "all_threads": 1900.0}
VALIDATION = {"images": 2000, "seconds": 4.0, "milliseconds_per_image": 2.0}
RESULTS = {
    "about": ABOUT,
    "training": [TRAINING | {"quality": QUALITY}, TRAINING | {"network": "other", "quality": None}],
    "textbook": [TEXTBOOK, {key: value for key, value in TEXTBOOK.items() if key != "extrapolated"}],
    "inference": [INFERENCE],
    "int8": [INT8],
    "decoding": [DECODING | {"threads": 2}],
    "validation": VALIDATION,
}
RESULTS["profile"] = RESULTS["training"]


def test_every_table_says_how_it_was_measured_and_has_a_row_per_result():
    texts = tables.texts(RESULTS)
    assert list(texts) == list(tables.SECTIONS)
    about = "P, 2 cores, fp32, 1 threads, profile `test`; torch 1; medians of 5 turns of 3 s, load 0.2 before."
    assert all(text.startswith(about) for text in texts.values())
    row = "| `net` | 50 | 1234 | 1200 to 1300 | 41 | 52 | 79 % | 5.4 % | 1.50 GB | 0.0123 | accuracy 96.10 % |"
    assert row in texts["training"]
    assert "| 1.50 GB | - | - |" in texts["training"]
    row = "| `net` | of the profile | 100 | 25 | 4.00 | 20.0 times less time (7 epochs against 35) |"
    assert row in texts["textbook"]
    assert "| `net` | 256 | 500.00 | 1000.00 | 512 | 2.00 |" in texts["inference"]
    row = "| `net` | 96.00 % | 95.75 % | 99.00 % | no | 95.00 % | 94.00 % | 0.26 | 0.90 | 1.25 |"
    assert row in texts["int8"]
    assert "| `set` | 32 | PNG | 2222 | 1000 | 1900 | 2 |" in texts["decoding"]
    assert "| 2,000 | 4.0 s | 2.00 ms |" in texts["validation"]
    assert "| `net` | aten::mm 60 %, aten::add 21 % |" in texts["profile"]


def test_what_was_not_measured_has_no_table():
    assert list(tables.texts({"about": ABOUT, "inference": [INFERENCE]})) == ["inference"]


def test_tables_and_plot_are_written(tmp_path):
    written = tables.write(RESULTS, tmp_path / "bench")
    assert [file.name for file in written] == ["bench.md", "bench.png"]
    assert written[0].read_text().count("\n## ") == len(tables.SECTIONS) - 1
    assert written[1].read_bytes().startswith(b"\x89PNG")


def test_tables_replace_what_is_between_their_markers():
    text = "a\n<!-- bench decoding -->\nold\n<!-- end decoding -->\nb"
    once = tables.replaced(text, {"decoding": "new"})
    assert once == "a\n<!-- bench decoding -->\n\nnew\n\n<!-- end decoding -->\nb"
    assert tables.replaced(once, {"decoding": "new"}) == once
    with pytest.raises(ConvzooError, match="expected the lines <!-- bench training --> and <!-- end training -->"):
        tables.replaced(text, {"training": "new"})


def test_the_page_has_the_markers_of_every_section():
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    written = tables.replaced(page, dict.fromkeys(tables.SECTIONS, "TABLE"))
    assert written.count("\nTABLE\n") == len(tables.SECTIONS)


def test_an_unknown_network_is_refused(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["mnist-classifer"]) == 1
    assert "mnist-classifer: is not a network of params.yaml, expected some of: mnist-class" in capsys.readouterr().err


def test_portable_trainings_are_measured_in_their_environment(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    started = []

    def start(path, arguments, environment):
        started.append(environment)
        raise SystemExit

    monkeypatch.setattr(portable.os, "execve", start)
    with pytest.raises(SystemExit):
        main(["mnist-classifier"])
    assert [portable.has_levers(environment) for environment in started] == [True]


@pytest.mark.parametrize("option", [["--repeats", "0"], ["--seconds", "-1"], ["--only", "nothing"]])
def test_options_are_checked(option, capsys):
    with pytest.raises(SystemExit):
        main(option)
    assert option[0] in capsys.readouterr().err


@pytest.mark.parametrize("kind", FORMATS)
def test_pictures_to_decode_hold_the_images(kind):
    import numpy as np

    levels = np.linspace(0, 255, 16 * 16 * 3).reshape(1, 16, 16, 3).astype(np.uint8)
    [data] = encoded(levels, kind)
    found = decode(data, PictureFormat(16, 16, 3, "none", 256, ""))
    if kind == "JPEG":
        assert np.abs(found.astype(int) - levels[0]).mean() < 8
    else:
        assert np.array_equal(found, levels[0])
