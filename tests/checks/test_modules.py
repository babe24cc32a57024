"""What of a Python file counts: its code and imports, not its comments, docstrings and blank lines."""

import pytest

from convzoo.checks.modules import CACHE, ModuleCache, parse
from convzoo.errors import ConvzooError
from convzoo.files import read_json

SOURCE = '''"""What it does. # no comment"""

import os  # for paths


def area(side: float) -> float:
    """The area (é).

    Units: none.
    """
    text = ("one"  # in between
            "two # no comment")
    page = f"""{side}
 trailing

# no comment
"""
    return side**2 if text and page else 0.0
'''

SAME = {
    "comment changed": ("# for paths", "# for other things"),
    "comment added": ("    return", "    # why\n    return"),
    "comment between parts of a string": ("# in between", "# there"),
    "docstring changed": ("Units: none.", "Units: square metres."),
    "docstring of the module": ("What it does.", "What it does, in more words."),
    "docstring in one line": ('"""The area (é).\n\n    Units: none.\n    """', '"""The area."""'),
    "blank line added": ("\n    return", "\n\n    return"),
    "spaces at the end of a line": ("import os  # for paths", "import os   "),
    "line ends of Windows": ("\n", "\r\n"),
}
OTHER = {
    "name": ("side**2", "side**3"),
    "text": ('"one"', '"two"'),
    "sign for comments in a text": ('"two # no comment"', '"two # a comment"'),
    "line in a text": ("# no comment\n", "# a comment\n"),
    "blank line in a text": (" trailing\n\n", " trailing\n"),
    "spaces at the end of a line in a text": (" trailing", " trailing  "),
    "import": ("import os", "import sys"),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_comments_docstrings_and_layout_do_not_count(change):
    changed = SOURCE.replace(*change)
    assert changed != SOURCE
    assert parse(changed) == parse(SOURCE)


@pytest.mark.parametrize("change", OTHER.values(), ids=OTHER)
def test_everything_else_counts(change):
    changed = SOURCE.replace(*change)
    assert changed != SOURCE
    assert parse(changed).sha256 != parse(SOURCE).sha256


def test_a_file_of_comments_is_empty():
    assert parse("# nothing\n\n").empty
    assert parse('"""A package."""\n').empty
    assert not parse("x = 1\n").empty


def test_imports_are_found_wherever_they_stand():
    source = "import a.b as c\nfrom d import e, f\ndef g():\n    from h.i import j\n    if g:\n        import k\n"
    assert parse(source).imports == ["a.b", "d", "d.e", "d.f", "h.i", "h.i.j", "k"]
    assert parse(source).packages == {"a", "d", "h", "k"}


def test_a_cached_module_is_the_same_and_another_version_of_the_cache_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    file = tmp_path / "a.py"
    file.write_text(SOURCE)
    for _ in range(2):
        with ModuleCache() as cache:
            assert cache.read(file) == parse(SOURCE)
    [key] = read_json(tmp_path / CACHE)["modules"]
    (tmp_path / CACHE).write_text('{"version": "another", "modules": {"' + key + '": ["wrong", []]}}')
    with ModuleCache() as cache:
        assert cache.read(file) == parse(SOURCE)
    for broken in ("", "[]", '{"version": 1}', "\0"):
        (tmp_path / CACHE).write_text(broken)
        with ModuleCache() as cache:
            assert cache.read(file) == parse(SOURCE)


def test_the_cache_forgets_earlier_states(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    file = tmp_path / "a.py"
    for text in ("x = 1\n", "x = 2\n"):
        file.write_text(text)
        with ModuleCache() as cache:
            cache.read(file)
            cache.forget_others()
    assert len(read_json(tmp_path / CACHE)["modules"]) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", r"a.py:1: is not valid Python"),
        ("x\0", "a.py.*is not valid Python"),
        ("\nfrom . import b\n", "a.py:2: .*relative import"),
    ],
)
def test_broken_code_is_named(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    (tmp_path / "a.py").write_text(text)
    with pytest.raises(ConvzooError, match=expected), ModuleCache() as cache:
        cache.read(tmp_path / "a.py")
