"""A real Prometheus on the loopback interface, which reads one target and evaluates rules."""

import math
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from blended.launch import free_ports
from tests.debian import program

_INTERVAL = "2s"
_START_TIMEOUT_S = 30
_POLL_S = 0.5


@dataclass
class Prometheus:
    """A running server, and its results."""

    client: httpx.Client
    _asked_at: float = 0.0
    _firing: frozenset[tuple[str, str]] = frozenset()

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """The samples of an expression that are numbers, with their labels."""
        found = self._get("query", query=expression)["result"]
        samples = [(sample["metric"], float(sample["value"][1])) for sample in found]
        return [(labels, value) for labels, value in samples if math.isfinite(value)]

    def firing(self) -> frozenset[tuple[str, str]]:
        """The alerts that fire, each with its subject; read twice a second at most."""
        if time.monotonic() - self._asked_at > _POLL_S:
            alerts = self._get("alerts")["alerts"]
            self._firing = frozenset(_about(a["labels"]) for a in alerts if a["state"] == "firing")
            self._asked_at = time.monotonic()
        return self._firing

    def ever_fired(self) -> set[tuple[str, str]]:
        """The alerts that have fired since the server was started."""
        found = self.query('max_over_time(ALERTS{alertstate="firing"}[1h])')
        return {_about(labels) for labels, _ in found}

    def _get(self, what: str, **parameters: str) -> Any:
        response = self.client.get(f"/api/v1/{what}", params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]


@contextmanager
def prometheus(folder: Path, target: str, rules: str) -> Iterator[Prometheus]:
    """A server that reads the metrics at the URL `target` and evaluates `rules`, every 2 s."""
    command = [program("prometheus", "prometheus"), *_arguments(folder, target, rules)]
    url = f"http://127.0.0.1:{free_ports.port()}"
    with (folder / "prometheus.log").open("w") as log:
        address = f"--web.listen-address={urlsplit(url).netloc}"
        process = subprocess.Popen([*command, address], stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=url, timeout=10) as client:
            _wait(client, process, folder)
            yield Prometheus(client)
    finally:
        process.terminate()
        process.wait()


def _arguments(folder: Path, target: str, rules: str) -> list[str]:
    url = urlsplit(target)
    scraped = {
        "job_name": "ray",
        "metrics_path": url.path,
        "static_configs": [{"targets": [url.netloc]}],
    }
    config = {
        "global": {"scrape_interval": _INTERVAL, "evaluation_interval": _INTERVAL},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scraped],
    }
    (folder / "rules.yaml").write_text(rules)
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    return [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'tsdb'}"]


def _wait(client: httpx.Client, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if client.get("/-/ready").status_code == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not start:\n{(folder / 'prometheus.log').read_text()[-1500:]}")


def _about(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["alertname"], labels.get("component") or labels.get("what") or ""
