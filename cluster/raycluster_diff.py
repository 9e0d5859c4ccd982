"""The differences between two Ray clusters, by names; a changed order of a list is one of them."""

from collections.abc import Iterator
from typing import Any

from blended.launch.json_diff import Difference, differences
from cluster.manifests import Document
from cluster.rules.cluster_hash import normal

_ORDER = "(order)"
# The keys that identify the items of a list: groups, containers and variables, tolerations.
_NAMES = ("groupName", "name", "key")


def changed(before: Document, after: Document) -> list[Difference]:
    """Every difference that the operator sees, after the API server's defaults."""
    found = [*differences(_by_name(before), _by_name(after)), *_orders(before, after)]
    return [(p, _brief(x), _brief(y)) for p, x, y in found if not _equal(p, x, y)]


def _brief(value: Any) -> Any:
    """A whole group or container is too long to show: its presence is enough."""
    return "{…}" if isinstance(value, dict) else value


def _equal(path: tuple[str, ...], before: Any, after: Any) -> bool:
    """Whether two values mean the same: `protocol: TCP` and no value, 1Gi and 1024Mi."""
    if path == ("suspend",):
        # Kueue writes it; no value means false.
        return not before and not after
    key, above = path[-1], path[-2] if len(path) > 1 else ""
    return bool(normal({above: {key: before}}) == normal({above: {key: after}}))


def _names(value: Any) -> list[str] | None:
    """The names of a list of named items; None for any other value."""
    if not (isinstance(value, list) and value and all(isinstance(item, dict) for item in value)):
        return None
    names = [str(item[key]) for item in value for key in _NAMES if key in item]
    return names if len(set(names)) == len(names) == len(value) else None


def _by_name(value: Any) -> Any:
    """Lists of named items as mappings, so that differences between them are small."""
    if (names := _names(value)) is not None:
        return dict(zip(names, map(_by_name, value), strict=True))
    return {k: _by_name(v) for k, v in value.items()} if isinstance(value, dict) else value


def _orders(before: Any, after: Any, path: tuple[str, ...] = ()) -> Iterator[Difference]:
    """Lists whose common items have another order, which makes another cluster for the operator."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (key for key in before if key in after):
            yield from _orders(before[key], after[key], (*path, key))
        return
    old, new = _names(before), _names(after)
    if old is None or new is None:
        return
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if kept[0] != kept[1]:
        yield (*path, _ORDER), *kept
    items = dict(zip(old, before, strict=True)), dict(zip(new, after, strict=True))
    yield from _orders(*items, path)
