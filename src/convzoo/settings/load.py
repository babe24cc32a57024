"""params.yaml as plain values, checked against a settings class, with the line of every key."""

import difflib
import functools
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from convzoo.errors import SettingsError

PARAMS = Path("params.yaml")

# A params file is read by people; a larger one is a mistake or an attack.
LARGEST_FILE = 1_000_000  # bytes
LARGEST_BITS = 63  # of a whole number
SHOWN = 60  # characters of a value or a key in a message

# What a value may be: YAML has more kinds (dates, sets, anything with a tag), and no setting is one of them.
TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
PLAIN = "expected text, a number, true, false, null, a list or a block; put text in quotes"

KeyPath = tuple[str | int, ...]


class Settings(BaseModel):
    """A block of params.yaml: every key is required, no other key is allowed, no type is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Params(NamedTuple):
    """A parsed params file."""

    file: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int]  # 1 is the first line


Block = TypeVar("Block", bound=Settings)


def read_params(file: Path = PARAMS) -> Params:
    """Parse a params file.

    Raises SettingsError for a missing file, broken YAML, a doubled key, a value of a kind that no setting has, and
    aliases (they let a small file grow without bound).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); run this from the project's folder") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if len(text) > LARGEST_FILE:
        raise SettingsError(f"{file}: has {len(text)} characters, expected {LARGEST_FILE} at most; take out the rest")
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        lines = _lines(file, node, yaml.constructor, seen=set())
        values = yaml.constructor.construct_document(node) if node else None
    except MarkedYAMLError as error:
        raise SettingsError(_yaml_message(file, error)) from None
    except ReaderError as error:
        before = text[: error.position]
        place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        told = f"character {error.character:#x}; take it out"
        raise SettingsError(f"{file}:{place}: is not valid YAML: text cannot have the {told}") from None
    except RecursionError:
        line = yaml.reader.line + 1
        raise SettingsError(f"{file}:{line}: is nested too deep, expected a few levels; take some out") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: expected keys and values at the top, got {shown(values)}")
    return Params(file, values, lines)


def check(params: Params, path: KeyPath, settings: type[Block]) -> Block:
    """The block of `params` at `path` as `settings`. Raises SettingsError with a line for each mistake in it."""
    try:
        return settings.model_validate(block(params, path))
    except ValidationError as error:
        schema = _schema(settings)
        told = dict.fromkeys(_message(params, path, schema, found) for found in error.errors())
        raise SettingsError("\n".join(told)) from None


@functools.cache
def _schema(settings: type[Settings]) -> dict:
    return settings.model_json_schema()


def block(params: Params, path: KeyPath) -> Any:
    """The plain value at `path`. Raises SettingsError, naming the keys that there are, where there is none."""
    value = params.values
    for depth, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            here = _where(params, path[:depth])
            raise SettingsError(f"{here}: {dotted(path[: depth + 1])}: is missing; {_known(value, key)}")
        value = value[key]
    return value


def _lines(
    file: Path, node: Node | None, constructor: SafeConstructor, seen: set[int], path: KeyPath = ()
) -> dict[KeyPath, int]:
    if node is None:
        return {}
    line = node.start_mark.line + 1
    where = f"{file}:{line}: {dotted(path)}"
    if id(node) in seen:
        told = f"aliases (*name) are not allowed; write the value of line {line} out where it is used"
        raise SettingsError(f"{where}: {told}")
    seen.add(id(node))
    if str(node.tag) not in TAGS:
        raise SettingsError(f"{where}: got {shown(node.value)} as {node.tag}, {PLAIN}")
    found = {path: line}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or not str(key.tag).endswith(":str"):
                where = f"{file}:{key.start_mark.line + 1}"
                raise SettingsError(f"{where}: the key {shown(key.value)} is no text; put it in quotes")
            name, line = key.value, key.start_mark.line + 1
            if (*path, name) in found:
                first = found[*path, name]
                told = f"stands here twice (first in line {first}); keep one"
                raise SettingsError(f"{file}:{line}: {dotted((*path, name))}: {told}")
            found |= _lines(file, value, constructor, seen, (*path, name))
            found[*path, name] = line
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            found |= _lines(file, value, constructor, seen, (*path, index))
    else:
        _check_scalar(where, node, constructor)
    return found


def _check_scalar(where: str, node: ScalarNode, constructor: SafeConstructor) -> None:
    try:
        value = constructor.construct_object(node)
    except (ValueError, LookupError):  # the text is not of the kind that its tag says, or a number without end
        raise SettingsError(f"{where}: got {shown(node.value)} as {node.tag}, {PLAIN}") from None
    if isinstance(value, int) and value.bit_length() > LARGEST_BITS:
        raise SettingsError(f"{where}: got {shown(node.value)}, expected a whole number of {LARGEST_BITS} bits at most")


def _yaml_message(file: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
    problem = (error.problem or error.context or "broken").splitlines()[0]
    return f"{where}: is not valid YAML: {problem}; mend what stands there or right before"


def _message(params: Params, path: KeyPath, schema: dict, found: dict) -> str:
    location = path + tuple(key for key in found["loc"] if key != "[key]")
    for depth in range(len(found["loc"])):
        choice = _descend(schema, schema, found["loc"][:depth])
        if "anyOf" in choice:  # pydantic tells of each choice in turn, under names of its own
            location = location[: len(path) + depth]
            told = f"got {shown(block(params, location))}, expected {_described(schema, choice)}"
            return f"{_where(params, location)}: {dotted(location)}: {told}"
    parent = _descend(schema, schema, found["loc"][:-1])
    if found["type"] == "missing":
        expected = _described(schema, _descend(schema, schema, found["loc"]))
        return f"{_where(params, location[:-1])}: {dotted(location)}: is missing; expected {expected}"
    if found["type"] == "extra_forbidden":
        known = dict.fromkeys(parent.get("properties", {}))
        return f"{_where(params, location)}: {dotted(location)}: is not known; {_known(known, location[-1])}"
    if found["type"] == "value_error":
        expected = str(found["ctx"]["error"])
    else:
        expected = "expected " + _described(schema, _descend(schema, schema, found["loc"]))
    return f"{_where(params, location)}: {dotted(location)}: got {shown(found['input'])}, {expected}"


def _where(params: Params, path: KeyPath) -> str:
    while path and path not in params.lines:
        path = path[:-1]
    return f"{params.file}:{params.lines.get(path, 1)}"


def dotted(path: KeyPath) -> str:
    """A path as it is named in messages: one short line whatever the keys are."""
    return ".".join(_named(key) for key in path) or "the file"


def _named(key: str | int) -> str:
    text = str(key)
    return text if text.isprintable() and len(text) <= SHOWN else shown(text)


def _known(values: Any, key: str | int) -> str:
    if not isinstance(values, dict) or not values:
        return "there are no keys here"
    names = [_named(name) for name in values]
    close = difflib.get_close_matches(str(key), names, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    return f"{meant}expected one of: {', '.join(names)}"


def shown(value: Any) -> str:
    """A value as it is told in messages: in one short line."""
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _descend(root: dict, schema: dict, location: tuple) -> dict:
    for key in location:
        schema = _resolved(root, schema)
        if isinstance(key, int):
            items = schema.get("prefixItems")
            schema = items[key] if items and key < len(items) else schema.get("items", {})
        elif key == "[key]":  # pydantic's way to speak of the name itself
            schema = {"type": "string", "pattern": next(iter(schema.get("patternProperties", {})), "")}
        else:
            others = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
            other = next((found for found in others if isinstance(found, dict)), {})
            schema = schema.get("properties", {}).get(key, other)
    return _resolved(root, schema)


def _resolved(root: dict, schema: dict) -> dict:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    return schema


TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
}
BOUNDS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "up to {}",
    "exclusiveMaximum": "below {}",
    "multipleOf": "a multiple of {}",
    "pattern": "that matches {}",
    "minLength": "of {} characters or more",
}


def _described(root: dict, schema: dict) -> str:
    schema = _resolved(root, schema)
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return "one of: " + ", ".join(str(value) for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_described(root, choice) for choice in schema["anyOf"])
    kind = schema.get("type", "a value")
    if kind == "object":
        if "properties" in schema:
            return "a block with the keys " + ", ".join(schema["properties"])
        return f"a block with {schema['minProperties']} key or more" if "minProperties" in schema else "a block"
    if kind == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        sizes = f" of {schema.get('minItems', 0)} to {schema.get('maxItems', 'any number of')} items"
        sized = sizes if "minItems" in schema or "maxItems" in schema else ""
        return f"a list ([...]){sized}, each {_described(root, items)}"
    bounds = [text.format(schema[name]) for name, text in BOUNDS.items() if name in schema]
    return " ".join([TYPES.get(kind, kind), " and ".join(bounds)]).strip()
