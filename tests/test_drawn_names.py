"""Names of classes and files in pictures: escaped where a font has no glyph, never a formula, never a warning."""

import warnings

import numpy as np
import pytest

from convzoo.data.contact_sheet import contact_sheet
from convzoo.plots import gallery, picture
from convzoo.text import drawable

NAMES = {"猫": r"\u732b", "a$b$c": r"a\$b\$c", r"$\frac$": r"\$\frac\$", "é": "é", "two\nlines": "two\nlines"}


@pytest.fixture(autouse=True)
def strict():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_names_on_axes_in_titles_and_legends_are_text(tmp_path):
    with picture(tmp_path / "a.png", 4, 3) as figure:
        axes = figure.subplots()
        axes.plot(range(1, len(NAMES) + 1), label="猫")
        axes.set_xticks(range(len(NAMES)), list(NAMES))
        axes.set_title("$猫$")
        axes.set_yscale("log")  # whose tick labels are formulas
        legend = axes.legend()
    assert [label.get_text() for label in axes.get_xticklabels()] == list(NAMES.values())
    assert (axes.get_title(loc="left") or axes.get_title()) == r"\$\u732b\$"
    assert [text.get_text() for text in legend.get_texts()] == [r"\u732b"]
    assert any("mathdefault" in label.get_text() for label in axes.get_yticklabels())


def test_a_bar_chart_of_named_classes_is_drawn(tmp_path):
    with picture(tmp_path / "a.png", 4, 3) as figure:
        axes = figure.subplots()
        axes.barh(list(NAMES), range(len(NAMES)))
    assert [label.get_text() for label in axes.get_yticklabels()] == list(NAMES.values())


def test_galleries_and_contact_sheets_are_drawn_with_any_name(tmp_path):
    images = np.zeros((len(NAMES), 8, 8, 3), np.uint8)
    gallery(tmp_path / "a.png", images, list(NAMES), "猫")
    escaped = contact_sheet([images[:1]], ["t"], [[r"\u732b"]])
    assert contact_sheet([images[:1]], ["t"], [["猫"]]).tobytes() == escaped.tobytes()
    assert contact_sheet([images[:1]], ["t"], [["cat"]]).tobytes() != escaped.tobytes()


def test_only_what_a_font_lacks_is_escaped():
    assert drawable("a b\nc猫", str.isascii) == "a b\nc\\u732b"
