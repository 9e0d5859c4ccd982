"""A schema that means only itself is refused; one that describes a tree is not."""

from typing import Any

import pytest

from blended.router.schema_cycles import has_cycle
from tests.support import HELLO, blend, rig

TREE: dict[str, Any] = {
    "type": "object",
    "properties": {"left": {"$ref": "#"}, "right": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
}
LIST = {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}}}}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, False),
        (TREE, False),
        (LIST, False),
        ({"$ref": "#"}, True),
        ({"allOf": [{"$ref": "#"}]}, True),
        ({"anyOf": [{"type": "null"}, {"$ref": "#"}]}, True),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, True),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            True,
        ),
        ({"properties": {"x": {"$ref": "#/properties/x"}}}, True),
        ({"$ref": "#/nowhere"}, False),
        ({"$ref": "https://example.org/schema"}, False),
        ({"$defs": {"a/b": {"$ref": "#/$defs/a~1b"}}}, True),
        ({"properties": {"$ref": {"type": "string"}}}, False),
    ],
)
def test_a_schema_that_refers_to_itself_in_place_is_found(schema: Any, expected: bool) -> None:
    """Below a property a reference describes a smaller part; in place it describes nothing."""
    assert has_cycle(schema) is expected


async def test_such_a_schema_reaches_no_component() -> None:
    """Engines answer it with 500, which would look as if they had failed."""
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"$ref": "#"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"$ref": "#"}}}
    async with rig(blend("a")) as r:
        for fields in ({"response_format": form}, {"tools": [tool]}):
            response = await r.chat(messages=HELLO, **fields)

            assert response.status_code == 400
            assert "refers to itself" in response.json()["error"]["message"]
        assert r.finished() == 0
