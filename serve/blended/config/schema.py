"""The JSON Schema of a blend's file, by which editors complete and check it as it is written.

    python -m blended.config.schema

writes presets/blend.schema.json; with `--check` it only says whether the file is up to date.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from blended import generated_page
from blended.config.blend import BlendConfig

PATH = Path("serve/blended/presets/blend.schema.json")
# Editors find the schema of a file by this comment in it.
EDITOR_LINE = f"# yaml-language-server: $schema={PATH.name}"


def text() -> str:
    """The schema as JSON, from the models that check a blend's file."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **BlendConfig.model_json_schema(mode="validation"),
    }
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file, or compare it; 1 if it is not up to date."""
    return generated_page.run("blended.config.schema", PATH, text(), arguments)


if __name__ == "__main__":
    sys.exit(main())
