"""params.yaml broken in every way: the check passes, or says in lines what and where, and nothing else is raised."""

import copy
import re

import pytest
from helpers.project import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from convzoo.errors import SettingsError
from convzoo.settings.load import Params, dotted, read_params
from convzoo.settings.whole import check_all

TEXT = (ROOT / "params.yaml").read_text()
LINES = TEXT.splitlines()
PARAMS = read_params(ROOT / "params.yaml")._replace(file="params.yaml")
KEYS = [path for path in PARAMS.lines if path and isinstance(path[-1], str)]
ITEMS = [path for path in PARAMS.lines if path]  # the items of lists too


# The same examples each time, so that a run says something of the code and not of chance.
def fuzz(examples: int) -> settings:
    quiet = list(HealthCheck)
    return settings(max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=quiet)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "params.yaml"


def complaints(params: Params) -> list[str]:
    """What the check of the whole file says; none where it passes."""
    try:
        check_all(params)
    except SettingsError as error:
        return told(error)
    return []


def told(error: SettingsError) -> list[str]:
    lines = str(error).split("\n")
    for line in lines:
        assert re.match(r"\S*params\.yaml(:\d+(:\d+)?)?: .", line), line
        assert line.isprintable() and len(line) < 2000 and "expected a value" not in line, line
    return lines


def read(file, content: str | bytes) -> list[str]:
    """What is said of a file with this content."""
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    try:
        params = read_params(file)
    except SettingsError as error:
        return told(error)
    return complaints(params)


def at(values, path):
    for key in path:
        values = values[key]
    return values


def changed(path, value=None, params=PARAMS, without=False) -> Params:
    """The params with another value at `path`, or without it."""
    values = dict(params.values)
    inner = values
    for key in path[:-1]:
        inner[key] = copy.copy(inner[key])
        inner = inner[key]
    if without:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    line = params.lines.get(path, 1)
    return params._replace(values=values, lines=params.lines | dict.fromkeys(paths(value, path), line))


def paths(value, path):
    """The paths of a value and of all that is in it."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, each in inner for found in paths(each, (*path, key)))]


WRONG = [None, True, 7, -1.5, "no such word", "", "\x1b[2J", "\ud800", [], [None], [[1]], {}, {"a": {}}, 2**62, 1e308]


@pytest.mark.parametrize("section", PARAMS.values)
def test_every_key_takes_no_value_of_a_wrong_type(section):
    for path in (path for path in ITEMS if path[0] == section):
        found = [complaints(changed(path, value)) for value in WRONG]
        assert sum(map(bool, found)) >= len(WRONG) - 5, dotted(path)
        # A size that does not go with a network is told at that network.
        near = re.compile(rf"{re.escape(dotted(path[:2]))}\b|networks\.")
        assert all(any(near.search(line) for line in lines) for lines in found if lines), dotted(path)


def numbers():
    values = ((path, at(PARAMS.values, path)) for path in ITEMS)
    return [path for path, value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def test_every_number_has_bounds():
    assert len(numbers()) > 300
    for path in numbers():
        for value in (-1, float("nan"), float("inf"), -float("inf"), -(2**62)):
            expected = f"{dotted(path)}: got {value!r}, expected "
            assert any(expected in line for line in complaints(changed(path, value))), expected


def test_no_value_is_converted():
    for path in ITEMS:
        value = at(PARAMS.values, path)
        other = int(value) if isinstance(value, bool) else str(value) if isinstance(value, int | float) else None
        assert other is None or complaints(changed(path, other)), dotted(path)


def test_every_key_is_missed():
    free = [path for path in KEYS if path[0] in ("sources", "weights") and (len(path) == 2 or "files" in path[2:-1])]
    free += [path for path in KEYS if path[0] == "promotion" and len(path) == 2]
    free += [path for path in KEYS if path[0] == "search" and len(path) in (2, 3)]
    for path in KEYS:
        found = complaints(changed(path, without=True))
        assert found or path in free, dotted(path)
        # Without its choices, a block of `search` is a range.
        named = "files" in path[2:-1] or path[-1] == "choices" or any(path[-1] in line for line in found)
        assert not found or named, dotted(path)


def test_every_block_knows_its_keys():
    blocks = [(), *(path for path in KEYS if isinstance(at(PARAMS.values, path), dict))]
    assert len(blocks) > 100
    for path in blocks:
        assert any(dotted((*path, "strange")) in line for line in complaints(changed((*path, "strange"), 1))), path


def key_nodes(node, path=()):
    """The path, node and style of every key in a YAML document."""
    for key, value in getattr(node, "value", None) or ():
        yield (*path, key.value), key, node.flow_style
        if hasattr(value, "flow_style") and isinstance(value.value, list) and value.tag.endswith("map"):
            yield from key_nodes(value, (*path, key.value))


def test_every_key_may_stand_there_once(file):
    count = 0
    for path, key, flow in key_nodes(YAML(typ="safe", pure=True).compose(TEXT)):
        # The lines of the entry that the key is in, under its section: the whole file takes a hundred times as long.
        first = PARAMS.lines[path[:2]] - 1
        last = next((n for n in range(first + 1, len(LINES)) if re.match(r" {0,2}[^ #]", LINES[n])), len(LINES))
        part = "\n".join([f"{path[0]}:"] * (len(path) > 1) + LINES[first:last]) + "\n"
        start = len(f"{path[0]}:\n") * (len(path) > 1) + key.start_mark.index - sum(len(n) + 1 for n in LINES[:first])
        again = f"{path[-1]}: 1" + (", " if flow else "\n" + " " * key.start_mark.column)
        [line] = read(file, part[:start] + again + part[start:])
        assert f"{dotted(path)}: is set twice (first in line " in line
        count += 1
    assert count == len(KEYS)


SPOTS = st.integers(0, len(TEXT) - 1)
PLACES = st.integers(0, len(LINES) - 1)


@fuzz(150)
@given(st.lists(st.tuples(SPOTS, st.integers(0, 255)), min_size=1, max_size=4), st.integers(len(TEXT) // 2, len(TEXT)))
def test_flipped_bytes_and_a_cut_end_are_told(file, flips, end):
    content = bytearray(TEXT.encode())
    for place, byte in flips:
        content[place] = byte
    read(file, bytes(content[:end]))


EDITS = st.sampled_from(["cut", "double", "indent", "outdent", "comment", "swap", "tab", "colon"])


@fuzz(150)
@given(st.lists(st.tuples(PLACES, EDITS), min_size=1, max_size=4))
def test_lines_that_were_moved_about_are_told(file, edits):
    lines = list(LINES)
    for number, edit in edits:
        line, after = lines[number], lines[(number + 1) % len(lines)]
        lines[number] = {
            "cut": "",
            "double": f"{line}\n{line}",
            "indent": f"  {line}",
            "outdent": line.removeprefix("  "),
            "comment": f"# {line}",
            "swap": f"{after}\n{line}",
            "tab": f"\t{line}",
            "colon": line.replace(":", "", 1),
        }[edit]
    read(file, "\n".join(lines))


MARKS = st.text("ab01.:-[]{}&*!|>%@?#<=~'\"\\,\t \n\r\x00\x85\u2028\ufeff", max_size=40)


@fuzz(800)
@given(MARKS | st.text(max_size=30) | st.binary(max_size=20))
def test_text_that_is_hardly_yaml_is_told(file, content):
    assert read(file, content.encode(errors="surrogatepass") if isinstance(content, str) else content)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner), max_leaves=8
)


@fuzz(800)
@given(st.lists(st.tuples(st.sampled_from(ITEMS), VALUES), min_size=1, max_size=3))
def test_any_value_anywhere_passes_or_is_told(changes):
    params = PARAMS
    for path, value in changes:
        try:
            params = changed(path, value, params)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took its place away
    complaints(params)


def test_a_document_that_grows_without_end_is_refused_at_the_first_alias(file):
    laughs = "".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 9)}]\n" for n in range(1, 30))
    [line] = read(file, f"b0: &b0 lol\n{laughs}")
    assert "params.yaml:1: b1.0: aliases (*name) are not allowed; write the value of line 1 out" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + "[" * 5000, ":1: is nested too deep"),
        ("a: " + "{b: " * 5000, ":1: is nested too deep"),
        ("".join(f"{' ' * n}a:\n" for n in range(1200)), "is nested too deep"),
        ("a: 1\nb: [1\n", ":3:1: is not valid YAML"),
        ("a: 1\n\tb: 2\n", ":2:1: is not valid YAML"),
        ("a: 1\nb: \x07\n", ":2:4: is not valid YAML: text cannot have the character 0x7"),
        ("a: !!int x\n", ":1: a: got 'x' as tag:yaml.org,2002:int, expected text, a number"),
        ("a: !!bool x\n", ":1: a: got 'x'"),
        ("a: !!float ''\n", ":1: a: got ''"),
        ("a: !!python/object/apply:os.system [ls]\n", ":1: a: got [ScalarNode"),
        ("a: 2001-02-03\n", ":1: a: got '2001-02-03' as tag:yaml.org,2002:timestamp"),
        ("a: !!set {b}\n", ":1: a: got"),
        ("a: !!omap [b: 1]\n", ":1: a: got"),
        ("a: " + "9" * 5000, ":1: a: got '999"),
        ("a: 0x" + "f" * 5000, ":1: a: got '0xfff"),
        (f"a: {2**63}\n", "expected a whole number of 63 bits at most"),
        ('"a\\nb": &x 1\nb: *x\n', "aliases (*name) are not allowed"),
        ('"a\\nb": 1\n"a\\nb": 1\n', r"'a\nb': is set twice"),
        ("<<: {a: 1}\n", ":1: the key '<<' is no text"),
        ("a: 1\n---\nb: 1\n", ":2:1: is not valid YAML"),
        ("#" * 1_000_001, "has 1000001 characters, expected 1000000 at most"),
    ],
)
def test_a_hostile_document_is_told_in_a_line(file, text, expected):
    [line] = read(file, text)
    assert expected in line


NAMES = [("sources", "a/b"), ("weights", "../x"), ("weights", "a; touch x"), ("data", "a b"), ("networks", "A")]


@pytest.mark.parametrize(("section", "name"), NAMES)
def test_a_name_that_would_become_a_path_or_a_command_is_refused(section, name):
    value = next(iter(PARAMS.values[section].values()))
    assert any("small letters, digits and hyphens" in line for line in complaints(changed((section, name), value)))
