"""The JSON schema of params.yaml, with which editors complete and check the file."""

import ast
import inspect
from functools import reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field
from pydantic.json_schema import GenerateJsonSchema

from convzoo.families.find import family_module
from convzoo.settings.load import Settings
from convzoo.settings.networks import FAMILIES, SECTIONS
from convzoo.settings.types import Name
from convzoo.settings.whole import Blocks


def _of_any_family(section: str) -> Any:
    """The union of all families' settings classes for the blocks of a section."""
    return reduce(or_, (getattr(family_module(family, "settings"), SECTIONS[section]) for family in FAMILIES))


class ParamsFile(Blocks):
    """The settings of the pipeline, which each stage reads in part."""

    networks: dict[Name, Annotated[_of_any_family("networks"), Field(discriminator="family")]]
    export: dict[Name, _of_any_family("export")]
    evaluation: dict[Name, _of_any_family("evaluation")]
    promotion: dict[Name, _of_any_family("promotion")]


class _Generator(GenerateJsonSchema):
    """Adds the comments of fields as descriptions, and refuses keys that do not match the pattern for names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: Any) -> dict[str, Any]:
        found = super().model_schema(schema)
        fields = schema["cls"].model_fields
        for name, comment in _comments(schema["cls"]).items():
            found["properties"][fields[name].alias or name]["description"] = comment
        return found

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        found = super().dict_schema(schema)
        return found | ({"additionalProperties": False} if "patternProperties" in found else {})


def params_schema() -> dict[str, Any]:
    """The schema. References between blocks, such as a network's data set, are checked by `convzoo check` alone."""
    return {"$schema": GenerateJsonSchema.schema_dialect, **ParamsFile.model_json_schema(schema_generator=_Generator)}


def _comments(settings: type[Settings]) -> dict[str, str]:
    """The comment at the end of each field's line, by the field's name."""
    found = {}
    for base in reversed(settings.__mro__):
        if issubclass(base, Settings):
            source = inspect.getsource(base)
            for statement in ast.parse(source).body[0].body:
                comment = source.splitlines()[(statement.end_lineno or 0) - 1].partition("  # ")[2]
                if isinstance(statement, ast.AnnAssign) and comment:
                    found[statement.target.id] = comment
    return found
