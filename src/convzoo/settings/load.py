"""Reads params.yaml, checks its blocks against settings classes, and names the line of every mistake."""

import difflib
import functools
import operator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from convzoo.errors import SettingsError

PARAMS = Path("params.yaml")

# A params file is written by hand; a larger one is a mistake or an attack.
LARGEST_FILE = 1_000_000  # bytes
LARGEST_BITS = 63  # of a whole number
DEEPEST = 50  # levels of blocks and lists
SHOWN = 60  # characters of a value or a key in a message

# The allowed YAML types; no setting needs others, such as dates, sets or custom tags.
TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
EXPECTED_TYPES = "expected text, a number, true, false, null, a list or a block; put text in quotes"

KeyPath = tuple[str | int, ...]


class Settings(BaseModel):
    """A block of params.yaml: every key is required, no other key is allowed, no type is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Params(NamedTuple):
    """A parsed params file."""

    file: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int]  # 1 is the first line


def read_params(file: Path = PARAMS) -> Params:
    """Parse a params file.

    Raises SettingsError for a missing file, invalid YAML, a duplicate key, a value of another type than TAGS, and
    aliases (with which a small file can expand without bound).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); run this from the project's folder") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if len(text) > LARGEST_FILE:
        raise SettingsError(f"{file}: has {len(text)} characters, expected {LARGEST_FILE} at most; take out the rest")
    yaml = YAML(typ="safe")  # libyaml, as DVC reads the file
    try:
        _check_depth(file, text)
        node = yaml.compose(text)
        lines = _lines(file, node, yaml.constructor, visited=set()) if node else {}
        values = yaml.constructor.construct_document(node) if node else None
    except MarkedYAMLError as error:
        raise SettingsError(_yaml_message(file, error)) from None
    except ReaderError as error:
        before = text[: error.position]
        where = f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        problem = f"text cannot have the character {error.character:#x}; take it out"
        raise SettingsError(f"{where}: is not valid YAML: {problem}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: expected keys and values at the top, got {shown(values)}")
    return Params(file, values, lines)


def _check_depth(file: Path, text: str) -> None:
    """Raise SettingsError for text nested deeper than DEEPEST, on which libyaml's composer would crash the process."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            line = event.start_mark.line + 1
            raise SettingsError(f"{file}:{line}: is nested too deep, expected a few levels; take some out")


def check(params: Params, path: KeyPath, settings: Any) -> Any:
    """The block of `params` at `path` as `settings`: a class, or a discriminated union of classes.

    Raises SettingsError with a line per mistake in it.
    """
    try:
        return _adapter(settings).validate_python(block(params, path))
    except ValidationError as error:
        messages = [_message(params, path, _schema(settings), mistake) for mistake in error.errors(include_url=False)]
        raise SettingsError("\n".join(dict.fromkeys(messages))) from None


@functools.cache
def _adapter(settings: Any) -> TypeAdapter:
    return TypeAdapter(settings)


@functools.cache
def _schema(settings: Any) -> dict:
    schema = _adapter(settings).json_schema()
    return _inlined(schema, schema.get("$defs", {}))


def _inlined(node: Any, definitions: dict) -> Any:
    """A JSON schema with references replaced by their definitions."""
    if isinstance(node, dict):
        node = node.get("$ref") or {key: _inlined(value, definitions) for key, value in node.items() if key != "$defs"}
    if isinstance(node, str) and node.startswith("#/$defs/"):
        return _inlined(definitions[node.removeprefix("#/$defs/")], definitions)
    return [_inlined(item, definitions) for item in node] if isinstance(node, list) else node


def block(params: Params, path: KeyPath) -> Any:
    """The unchecked value at `path`. Raises SettingsError with the existing keys if there is none."""
    value = params.values
    for depth, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            raise SettingsError(f"{place(params, path[: depth + 1])}: is missing; {_expected_keys(value, key)}")
        value = value[key]
    return value


def _lines(
    file: Path, node: Node, constructor: SafeConstructor, visited: set[int], path: KeyPath = ()
) -> dict[KeyPath, int]:
    """The line of every key at and below `node`. Raises SettingsError for a node that is not allowed."""
    line = node.start_mark.line + 1
    where = f"{file}:{line}: {dotted(path)}"
    if id(node) in visited:
        problem = f"aliases (*name) are not allowed; write the value of line {line} out where it is used"
        raise SettingsError(f"{where}: {problem}")
    visited.add(id(node))
    if str(node.tag) not in TAGS:
        raise SettingsError(f"{where}: got {shown(node.value)} as {node.tag}, {EXPECTED_TYPES}")
    lines = {path: line}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or not str(key.tag).endswith(":str"):
                where = f"{file}:{key.start_mark.line + 1}"
                if node.flow_style and isinstance(value, ScalarNode) and value.value == "":  # {a: 0,1} is {a: 0, 1: }
                    problem = "stands alone after a comma; write a decimal number with a point, as in 0.1"
                else:
                    problem = "is no text; put it in quotes"
                raise SettingsError(f"{where}: the key {shown(key.value)} {problem}")
            name, line = key.value, key.start_mark.line + 1
            if (*path, name) in lines:
                first = lines[*path, name]
                problem = f"is set twice (first in line {first}); keep one"
                raise SettingsError(f"{file}:{line}: {dotted((*path, name))}: {problem}")
            lines |= _lines(file, value, constructor, visited, (*path, name))
            lines[*path, name] = line
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            lines |= _lines(file, value, constructor, visited, (*path, index))
    else:
        _check_scalar(where, node, constructor)
    return lines


def _check_scalar(where: str, node: ScalarNode, constructor: SafeConstructor) -> None:
    try:
        value = constructor.construct_object(node)
    except (ValueError, LookupError):  # the text does not match its tag, or is an infinite number
        raise SettingsError(f"{where}: got {shown(node.value)} as {node.tag}, {EXPECTED_TYPES}") from None
    if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
        raise SettingsError(f"{where}: got {shown(node.value)}, expected a whole number of {LARGEST_BITS} bits at most")


def _yaml_message(file: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
    problem = (error.problem or error.context or "broken").splitlines()[0]
    return f"{where}: is not valid YAML: {problem}; fix this line or the one before it"


def place(params: Params, path: KeyPath) -> str:
    """File, line and dotted path, as the beginning of a message; a missing key has the line of its block."""
    known = next((path[:depth] for depth in range(len(path), -1, -1) if path[:depth] in params.lines), ())
    return f"{params.file}:{params.lines.get(known, 1)}: {dotted(path)}"


def dotted(path: KeyPath) -> str:
    """A path as text for messages, on one short line whatever the keys are."""
    return ".".join(_named(key) for key in path) or "the file"


def _named(key: str | int) -> str:
    text = str(key)
    return text if text.isprintable() and len(text) <= SHOWN else shown(text)


def _expected_keys(values: Any, key: str | int) -> str:
    if not isinstance(values, dict) or not values:
        return "there are no keys here"
    return f"{_suggestion(values, key)}expected one of: {', '.join(map(_named, values))}"


def _suggestion(values: Any, key: str | int) -> str:
    close = difflib.get_close_matches(str(key), map(_named, values), n=1)
    return f"did you mean '{close[0]}'? " if close else ""


def shown(value: Any) -> str:
    """A value as text for messages, on one short line."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _message(params: Params, path: KeyPath, schema: dict, mistake: dict) -> str:
    """A line about one of pydantic's mistakes in the block at `path`, which should match `schema`."""
    kind, location = mistake["type"], mistake["loc"]
    wrong_key = location[-1:] == ("[key]",)  # pydantic's mark for an invalid key
    known: dict = {}
    for part in location[:-1] if wrong_key else location:
        if "anyOf" in schema:  # the rest of the location names one of several types
            break
        if "oneOf" in schema:
            schema = _classes(schema)[part]
            continue
        known = schema.get("properties", {})
        others = schema.get("patternProperties") or {"": schema.get("items") or schema.get("additionalProperties")}
        path, schema = (*path, part), known.get(part) or next(iter(others.values())) or {}
    if kind.startswith("union_tag"):  # about the key that selects one of several classes
        path = (*path, schema["discriminator"]["propertyName"])
        schema = {"enum": _classes(schema)}
    where = place(params, path)
    if kind == "extra_forbidden":
        return f"{where}: is not known; {_expected_keys(known, path[-1])}"
    expected = "expected " + _described({"type": "string", **mistake.get("ctx", {})} if wrong_key else schema)
    if kind == "missing":
        return f"{where}: is missing; {expected}"
    if kind == "union_tag_not_found":
        return f"{where}: is missing; {_suggestion(mistake['input'], path[-1])}{expected}"
    got = path[-1] if wrong_key else functools.reduce(operator.getitem, path, params.values)
    return f"{where}: got {shown(got)}, {mistake['ctx']['error'] if kind == 'value_error' else expected}"


def _classes(schema: dict) -> dict[str, dict]:
    """The classes of a discriminated union by tag; by name if a function discriminates between them."""
    if "discriminator" in schema:
        return schema["discriminator"]["mapping"]
    return {choice["title"]: choice for choice in schema["oneOf"]}


TYPES = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
BOUNDS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "pattern": "that matches {}",
    "minLength": "of {} characters or more",
}


def _described(schema: dict) -> str:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of: " + ", ".join(map(str, schema["enum"]))
    if "discriminator" in schema:
        schema = {"type": "object", "properties": {schema["discriminator"]["propertyName"]: {"enum": _classes(schema)}}}
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(map(_described, schema.get("anyOf") or schema["oneOf"]))
    kind = schema.get("type", "a value")
    if kind == "object":
        keys = schema.get("properties", {})
        if len(keys) == 1:
            [(key, value)] = keys.items()
            return f"a block with the key {key} ({_described(value)})"
        if keys:
            return "a block with the keys " + ", ".join(keys)
        return f"a block with {schema['minProperties']} key or more" if "minProperties" in schema else "a block"
    if kind == "array":
        sizes = f" of {schema.get('minItems', 0)} to {schema.get('maxItems', 'any number of')} items"
        sized = sizes if "minItems" in schema or "maxItems" in schema else ""
        return f"a list ([...]){sized}, each {_described(schema['items'])}"
    bounds = [text.format(schema[name]) for name, text in BOUNDS.items() if name in schema]
    return " ".join([TYPES.get(kind, kind), " and ".join(bounds)]).strip()
