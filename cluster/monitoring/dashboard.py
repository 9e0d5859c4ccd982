"""The Grafana dashboard of a blend, in the classic JSON model, which every version imports."""

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from cluster.monitoring.panels import DashboardPanel, rows

SCHEMA_VERSION = 42
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_COLUMNS, _WIDTH, _HEIGHT = 3, 8, 8

Json = dict[str, Any]


def dashboard(about: str) -> Json:
    """The whole dashboard; `about` is its description."""
    return {
        "uid": "blended",
        "title": "Blended",
        "description": about,
        "tags": ["blended"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), _window()]},
        "panels": list(_placed(rows())),
    }


def _placed(sections: Iterable[tuple[str, Sequence[DashboardPanel]]]) -> Iterable[Json]:
    """Panels from left to right and top to bottom, with a heading above each row."""
    ids, y = count(1), 0
    for title, panels in sections:
        place = {"gridPos": {"x": 0, "y": y, "w": _COLUMNS * _WIDTH, "h": 1}, "collapsed": False}
        yield {"id": next(ids), "type": "row", "title": title, "panels": [], **place}
        y += 1
        for index, panel in enumerate(panels):
            line, column = divmod(index, _COLUMNS)
            yield _drawn(panel, next(ids), column * _WIDTH, y + line * _HEIGHT)
        y += -(-len(panels) // _COLUMNS) * _HEIGHT


def _drawn(panel: DashboardPanel, number: int, x: int, y: int) -> Json:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expr, "legendFormat": legend, "range": True}
            for i, (expr, legend) in enumerate(panel.targets)
        ],
    }


def _datasource() -> Json:
    return {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
    }


def _window() -> Json:
    """The durations that rates may be taken over."""
    windows = ("1m", "5m", "15m", "1h")
    options = [{"text": w, "value": w, "selected": w == "5m"} for w in windows]
    current = {"text": "5m", "value": "5m"}
    about = {"name": "window", "label": "Window", "type": "custom", "query": ",".join(windows)}
    return {**about, "options": options, "current": current}
