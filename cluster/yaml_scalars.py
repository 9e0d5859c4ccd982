"""Plain scalars that YAML readers understand differently.

YAML 1.1 reads `n` as false, `0777` in octal and `12:30` in base 60; 1.2 reads `0o7` in octal and
`1e3` as a number, which 1.1 does not. KubeRay's operator, kustomize and Python each read some of
either (https://yaml.org/type, https://yaml.org/spec/1.2.2 section 10.3; Go's readers by their
source). All of them understand a quoted scalar, or one in JSON, alike.
"""

import json
import re
from collections.abc import Iterator

import yaml

from blended.config.strict_yaml import StrictLoader
from blended.errors import field_path

_WORDS = r"y|n|yes|no|on|off|true|false|null|~|=|<<|[-+]?\.inf|\.nan"
_INTEGER = r"[-+]?(0b[01_]+|0o[0-7_]+|0x[0-9a-f_]+|[0-9][0-9_]*)"
_SEXAGESIMAL = r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
_FLOAT = r"[-+]?(\.[0-9_]+|[0-9][0-9_]*(\.[0-9_]*)?)(e[-+]?[0-9]+)?"
_TIME = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t \t].*)?"

# Scalars that some reader does not take for a text.
AMBIGUOUS = re.compile(rf"(?i)^({_WORDS}|{_INTEGER}|{_SEXAGESIMAL}|{_FLOAT}|{_TIME})\Z")
# Scalars that all of them understand alike.
_CLEAR = re.compile(r"|true|false|null|-?(0|[1-9][0-9]*)(\.[0-9]+(e[-+][0-9]+)?)?")


def unclear(text: str) -> list[tuple[str, str]]:
    """Every plain scalar that readers may understand differently, with its path; JSON has none.

    Raises:
        yaml.YAMLError: the text is no YAML.
    """
    try:
        json.loads(text)
        return []
    except ValueError:
        documents = yaml.compose_all(text, Loader=StrictLoader)
        return [found for document in documents for found in _unclear(document, "")]


def _unclear(node: yaml.Node | None, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _unclear(key, path)
            yield from _unclear(value, field_path([str(key.value)], path))
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(node.value):
            yield from _unclear(item, field_path([i], path))
    elif isinstance(node, yaml.ScalarNode) and not node.style and _is_unclear(node.value):
        yield path, node.value


def _is_unclear(scalar: str) -> bool:
    return AMBIGUOUS.match(scalar) is not None and not _CLEAR.fullmatch(scalar)
