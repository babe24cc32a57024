"""Write params.schema.json, the JSON schema of params.yaml.

Editors with a YAML language server use it to complete and check params.yaml, whose first line names it. Run this again
after a change to the settings classes.
"""

from pathlib import Path

from convzoo.files import write_json
from convzoo.settings.schema import params_schema

EXAMPLES = ("convzoo schema",)
SCHEMA = Path("params.schema.json")


def command() -> None:
    """Write the file and print its name."""
    write_json(SCHEMA, params_schema())
    print(f"{SCHEMA}: written")
