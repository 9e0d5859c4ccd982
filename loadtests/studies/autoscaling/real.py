"""The middle of that day on real Ray Serves side by side: each contender scales a blend of its own.

All of them get their requests at the same moments (an open loop). Components are simulated; the
routers, HAProxy, the replicas' starts and Serve's controller are real.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

import httpx
import psutil

from blended.app import serve_config
from blended.config import BlendConfig
from loadtests.harness.open_loop import ScheduledRequest, drive
from loadtests.harness.percentiles import percentile
from loadtests.harness.start import up
from loadtests.harness.targets import Place
from loadtests.studies.autoscaling.outcome import DayOutcome
from loadtests.studies.autoscaling.setting import Contender, Setting

# Ray's delays in a real day: all times are divided by the same number.
_REPORT_S, _LOOK_BACK_S = 10.0, 30.0
_POLL_S = 0.5
_WORDS, _MOST_TOKENS = 4, 1000
_APPLICATIONS = "/api/serve/applications/"


@dataclass
class RunQuality:
    """Figures beside the outcomes: how well the machine kept up.

    `late_s` are the delays of sent requests, `cpu_percent` is how busy all cores were, `startup_s`
    are the times from Serve's wish for more replicas to their readiness.
    """

    late_s: list[float] = field(default_factory=list)
    cpu_percent: list[float] = field(default_factory=list)
    startup_s: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Percentiles and means."""
        return {
            "sent_late_p99_s": round(percentile(sorted(self.late_s), 0.99), 4),
            "cpu_busy_percent": round(fmean(self.cpu_percent), 1),
            "startup_median_s": round(median(self.startup_s), 1),
        }


async def live_through(
    setting: Setting, contenders: Sequence[Contender], faster: float, seed: int, place: Place
) -> tuple[list[DayOutcome], RunQuality]:
    """The day with all contenders at once; Ray's times are `faster` times shorter.

    Raises:
        Unavailable: a blend did not come up; nothing is left running.
    """
    run = RunQuality()
    with ExitStack() as stack:
        sites = [_Site.start(setting, c, faster, place, stack) for c in contenders]
        psutil.cpu_percent()
        began = time.monotonic()
        watching = [asyncio.create_task(site.watch(began, run)) for site in sites]
        change = asyncio.create_task(_change(sites, began + setting.day.change_s))
        for late_s in await asyncio.gather(*[site.ask_all(seed) for site in sites]):
            run.late_s += late_s
        for task in (change, *watching):
            task.cancel()
    return [site.outcome for site in sites], run


async def _change(sites: Sequence["_Site"], at: float) -> None:
    await asyncio.sleep(at - time.monotonic())
    await asyncio.gather(*[asyncio.to_thread(site.change_weights) for site in sites])


@dataclass
class _Site:
    """A contender's blend on its own cluster."""

    setting: Setting
    config: BlendConfig
    faster: float
    url: str
    headers: dict[str, str]
    http: httpx.Client
    outcome: DayOutcome = field(default_factory=DayOutcome)

    @classmethod
    def start(
        cls, setting: Setting, contender: Contender, faster: float, place: Place, stack: ExitStack
    ) -> "_Site":
        config = setting.blend(contender)
        target = up(config.model_dump(mode="json", exclude_none=True), place, stack)
        state = place.folder / f"state-{config.name}"
        running = json.loads((state / "running.json").read_text())
        headers = {"Authorization": f"Bearer {(state / 'ray_token').read_text()}"}
        http = httpx.Client(base_url=running["dashboard_url"], headers=headers, timeout=60)
        stack.enter_context(http)
        site = cls(setting, config, faster, target["url"], dict(target["headers"]), http)
        site._deploy(config)
        return site

    def change_weights(self) -> None:
        weights = dict(self.setting.day.after)
        selection = self.config.selection.model_copy(update={"weights": weights})
        self._deploy(self.config.model_copy(update={"selection": selection}))

    def _deploy(self, config: BlendConfig) -> None:
        wanted = serve_config(config, httpx.URL(self.url).port or 0)
        for app in wanted["applications"]:
            scaling = app["deployments"][0]["autoscaling_config"]
            scaling["metrics_interval_s"] = _REPORT_S / self.faster
            scaling["look_back_period_s"] = _LOOK_BACK_S / self.faster
        self.http.put(_APPLICATIONS, json=wanted).raise_for_status()

    async def ask_all(self, seed: int) -> list[float]:
        """Send every request when it is due; returns the delay of each in seconds."""
        asks = [
            ScheduledRequest(due_s, _WORDS, _MOST_TOKENS)
            for due_s in self.setting.day.arrivals(seed)
        ]
        ends = await drive(self.url, self.headers, self.config.name, asks)
        for end in ends:
            if (response := end.response) is not None:
                self.outcome.end(response.first_s, response.itl_s, self.setting.level)
                self.outcome.asked_again += response.attempts > 1
            else:
                self.outcome.ends["refused" if end.failure[:3].isdigit() else "broken off"] += 1
        return [end.late_s for end in ends]

    async def watch(self, began: float, run: RunQuality) -> None:
        """Record the numbers of replicas until cancelled."""
        targets, rising = dict[str, int](), dict[str, float]()
        before = time.monotonic()
        while True:
            deployments = await asyncio.to_thread(self._deployments)
            now = time.monotonic()
            run.cpu_percent.append(psutil.cpu_percent())
            counts = {i: len(d["replicas"]) for i, d in deployments.items()}
            self.outcome.replica_s += sum(counts.values()) * (now - before)
            self.outcome.course.append((now - began, counts))
            for name, deployment in deployments.items():
                target = deployment["target_num_replicas"]
                known = targets.get(name, target)
                self.outcome.ups += target > known
                self.outcome.downs += target < known
                if target > known:
                    rising.setdefault(name, now)
                there = sum(r["state"] == "RUNNING" for r in deployment["replicas"])
                if name in rising and there >= target:
                    run.startup_s.append(now - rising.pop(name))
                targets[name] = target
            before = now
            await asyncio.sleep(_POLL_S)

    def _deployments(self) -> dict[str, Any]:
        apps = self.http.get(_APPLICATIONS).raise_for_status().json()["applications"]
        return {c: apps[f"component-{c}"]["deployments"]["Simulated"] for c in self.config.weights}
