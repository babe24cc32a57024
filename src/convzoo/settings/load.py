"""params.yaml as plain values, checked against a settings class, with the line of every key."""

import difflib
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from convzoo.errors import SettingsError

PARAMS = Path("params.yaml")

# A params file is read by people; a larger one is a mistake or an attack.
LARGEST_FILE = 1_000_000  # bytes

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

    Raises SettingsError for a missing file, broken YAML, a doubled key, and aliases (they let a small file grow
    without bound).
    """
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); run this from the project's folder") from None
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if len(text) > LARGEST_FILE:
        raise SettingsError(f"{file}: has {len(text)} characters, expected {LARGEST_FILE} at most")
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
        lines = _lines(file, node, seen=set())
        values = yaml.constructor.construct_document(node) if node else None
    except SettingsError:
        raise
    except MarkedYAMLError as error:
        raise SettingsError(_yaml_message(file, error)) from None
    except (YAMLError, RecursionError, ValueError) as error:
        raise SettingsError(f"{file}: is not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise SettingsError(f"{file}: expected keys and values at the top, got {_shown(values)}")
    return Params(file, values, lines)


def check(params: Params, path: KeyPath, settings: type[Block]) -> Block:
    """The block of `params` at `path` as `settings`. Raises SettingsError with a line for each mistake in it."""
    try:
        return settings.model_validate(block(params, path))
    except ValidationError as error:
        schema = settings.model_json_schema()
        raise SettingsError("\n".join(_message(params, path, schema, found) for found in error.errors())) from None


def block(params: Params, path: KeyPath) -> Any:
    """The plain value at `path`. Raises SettingsError, naming the keys that there are, where there is none."""
    value = params.values
    for depth, key in enumerate(path):
        if not isinstance(value, dict) or key not in value:
            here = _where(params, path[:depth])
            raise SettingsError(f"{here}: {_dotted(path[: depth + 1])}: is missing; {_known(value, key)}")
        value = value[key]
    return value


def _lines(file: Path, node: Node | None, seen: set[int], path: KeyPath = ()) -> dict[KeyPath, int]:
    if node is None:
        return {}
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise SettingsError(
            f"{file}: aliases (*name) are not allowed; write the value of line {line} out where it is used"
        )
    seen.add(id(node))
    found = {path: line}
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if not isinstance(key, ScalarNode) or not str(key.tag).endswith(":str"):
                where = f"{file}:{key.start_mark.line + 1}"
                raise SettingsError(f"{where}: the key {_shown(key.value)} is no text; put it in quotes")
            name, line = key.value, key.start_mark.line + 1
            if (*path, name) in found:
                dotted = _dotted((*path, name))
                raise SettingsError(
                    f"{file}:{line}: {dotted}: stands here twice (first in line {found[*path, name]}); keep one"
                )
            found |= _lines(file, value, seen, (*path, name))
            found[*path, name] = line
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            found |= _lines(file, value, seen, (*path, index))
    return found


def _yaml_message(file: Path, error: MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
    problem = (error.problem or error.context or "broken").splitlines()[0]
    return f"{where}: is not valid YAML: {problem}"


def _message(params: Params, path: KeyPath, schema: dict, found: dict) -> str:
    location = path + tuple(key for key in found["loc"] if key != "[key]")
    parent = _descend(schema, schema, found["loc"][:-1])
    if found["type"] == "missing":
        expected = _described(schema, _descend(schema, schema, found["loc"]))
        return f"{_where(params, location[:-1])}: {_dotted(location)}: is missing; expected {expected}"
    if found["type"] == "extra_forbidden":
        known = dict.fromkeys(parent.get("properties", {}))
        return f"{_where(params, location)}: {_dotted(location)}: is not known; {_known(known, location[-1])}"
    if found["type"] == "value_error":
        expected = str(found["ctx"]["error"])
    else:
        expected = "expected " + _described(schema, _descend(schema, schema, found["loc"]))
    return f"{_where(params, location)}: {_dotted(location)}: got {_shown(found['input'])}, {expected}"


def _where(params: Params, path: KeyPath) -> str:
    while path and path not in params.lines:
        path = path[:-1]
    return f"{params.file}:{params.lines.get(path, 1)}"


def _dotted(path: KeyPath) -> str:
    return ".".join(str(key) for key in path) or "the file"


def _known(values: Any, key: str | int) -> str:
    if not isinstance(values, dict) or not values:
        return "there are no keys here"
    names = [str(name) for name in values]
    close = difflib.get_close_matches(str(key), names, n=1)
    meant = f"did you mean '{close[0]}'? " if close else ""
    return f"{meant}expected one of: {', '.join(names)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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
        return "a block with the keys " + ", ".join(schema["properties"]) if "properties" in schema else "a block"
    if kind == "array":
        items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
        return f"a list ([...]), each item {_described(root, items)}"
    bounds = [text.format(schema[name]) for name, text in BOUNDS.items() if name in schema]
    return " ".join([TYPES.get(kind, kind), " and ".join(bounds)]).strip()
