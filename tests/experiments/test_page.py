"""The report as one page, from users as an experiment may have them."""

import math
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageStat

from blended.experiments import report
from blended.experiments.analysis import analyse
from blended.experiments.checked_responses import CheckedResponses
from blended.experiments.definition import ArmDefinition, Definition
from blended.experiments.measures import GUARDRAILS, MEASURES
from blended.experiments.page import page
from blended.experiments.panel import ExperimentPanel, LeftOut
from blended.experiments.plots import TITLES
from blended.experiments.report import PAPER, Report
from blended.experiments.stored_experiments import Realised
from blended.experiments.user_days import SAID, SUMS
from tests.experiments import chromium

ARMS = ("alone", "two-blend", "three-blend", "flattened")
START = 20_000
COMPONENTS = {"larch": 0.5, "rowan": 0.3, "hazel": 0.2}


def definition(*arms: str, day_s: float = 86400, **changes: Any) -> Definition:
    """An experiment with `arms`, the first being control, that runs for 31 days."""
    one = {"larch": 1.0, "rowan": 0.0, "hazel": 0.0}
    values = {
        "name": "spring",
        "salt": "spring",
        "layer": "default",
        "users": (0, 1),
        "eligible": "all",
        "start": START * day_s,
        "end": (START + 31) * day_s,
        "control": arms[0],
        "arms": tuple(
            ArmDefinition(arm, 1 / len(arms), COMPONENTS if i else one)
            for i, arm in enumerate(arms)
        ),
        "gpus": {"larch": 1},
        "session_gap_s": 1800,
        "day_s": day_s,
        "simulated": False,
    }
    return Definition(**{**values, **changes})


def panel(of: Definition, users: int = 400, days: int = 31, lost: float = 0) -> ExperimentPanel:
    """So many users in each arm, who join in the first third of the days.

    Each arm's users come more often than the last one's and stay longer; `lost` is the part of
    control's users that is missing.
    """
    random = np.random.default_rng(7)
    arm = np.repeat(np.arange(len(of.arms)), users)[int(users * lost) :]
    n = len(arm)
    joined = START + random.integers(0, max(days // 3, 1), n)
    k = np.arange(days)
    habit = random.beta(2, 2, n)
    chance = (habit * (1 + 0.06 * arm))[:, None] * np.maximum(k, 1) ** -0.3
    active = random.random((n, days)) < chance
    active |= k == 0
    active &= joined[:, None] + k < START + days
    user, day = np.nonzero(active)
    seconds = random.lognormal(6, 0.7, len(user)) * (1 + 0.04 * arm[user])
    before = random.binomial(28, habit * 0.5).astype(float)
    totals = _totals(random, active.sum(axis=1), np.bincount(user, seconds, n))
    totals |= {f"before_{name}": before * random.gamma(9, 0.1, n) for name in SUMS}
    totals["before_active_days"] = before
    return ExperimentPanel(
        of,
        START + days,
        arm,
        joined,
        totals,
        user,
        day,
        seconds,
        responses=np.ones(len(user)),
        checked=_checked(random, n),
        left_out=LeftOut(3 if users >= 400 else 0, 2, {}),
        caps={"active_s": 3600.0, "turns": 100.0},
    )


def _checked(random: np.random.Generator, users: int) -> CheckedResponses:
    """Five responses of each user, with times that users differ in."""
    user = np.repeat(np.arange(users), 5)
    pace = random.lognormal(0, 0.3, users)[user]
    none = np.zeros(len(user))
    return CheckedResponses(user, pace * random.gamma(9, 0.03, len(user)), none + 1, none, none)


def _totals(random: np.random.Generator, days: Any, seconds: Any) -> dict[str, Any]:
    """What users' days and seconds may come to in all that is counted."""
    turns = random.poisson(seconds / 60) + days
    of_turns = {name: random.binomial(turns, 0.1).astype(float) for name in (*SUMS, *SAID)}
    return of_turns | {
        "responses": turns * 1.0,
        "turns": turns * 1.0,
        "conversations": days * 1.0,
        "active_days": days * 1.0,
        "active_s": seconds,
        "prompt_tokens": turns * random.normal(900, 90, len(days)),
        "completion_tokens": turns * random.normal(120, 12, len(days)),
        "ttft_s": turns * random.gamma(9, 0.03, len(days)),
        "ttft_responses": turns * 1.0,
        "engine_s": turns * random.gamma(9, 0.1, len(days)),
        "thumbs_up": random.binomial(of_turns["thumbs"].astype(int), 0.7) * 1.0,
    }


def document(of: Definition, notes: tuple[str, ...] = (), **users: Any) -> dict[str, Any]:
    """The document on those users, while the experiment still runs."""
    result = analyse(panel(of, **users), now=of.end - 1)
    drawn = {arm.id: _drawn(arm) for arm in of.arms}
    return report.document(Report(result, drawn, notes))


def _drawn(arm: ArmDefinition) -> dict[str, Realised]:
    return {name: Realised(int(2000 * p), int(1990 * p)) for name, p in arm.probabilities.items()}


@cache
def usual() -> dict[str, Any]:
    """A document of four arms that lacks nothing."""
    return document(definition(*ARMS), users=600)


@cache
def usual_page() -> str:
    """Its page."""
    return page(usual())


def svgs(html: str) -> dict[str, ElementTree.Element]:
    """The page's plots by the ids of their figures."""
    found = re.findall(r'<figure id="(\w+)">\s*(<svg.*?</svg>)', html, re.DOTALL)
    return {name: ElementTree.fromstring(svg) for name, svg in found}


def ids(svg: ElementTree.Element) -> set[str]:
    """The ids in a plot, without the plot's name before them."""
    return {e.attrib["id"].partition("-")[2] for e in svg.iter() if "id" in e.attrib}


def texts(element: ElementTree.Element) -> list[str]:
    """What is written in a plot or a part of it."""
    return [e.text or "" for e in element.iter() if e.tag.endswith("}text")]


def groups(element: ElementTree.Element, pattern: str) -> list[ElementTree.Element]:
    """The parts whose ids end so."""
    return [e for e in element.iter() if re.search(pattern + "$", e.attrib.get("id", ""))]


def heights(element: ElementTree.Element) -> list[float]:
    """The vertical places of the points of a part's first path."""
    path = next(e for e in element.iter() if e.tag.endswith("}path"))
    return [float(y) for y in re.findall(r"[ML] [\d.-]+ ([\d.-]+)", path.attrib["d"])]


def test_every_plot_shows_every_arm() -> None:
    """Arms with bands, ratios with bars and lines, effects by measure, drawn components."""
    plots = svgs(usual_page())

    tests = ARMS[1:]
    assert list(plots) == list(TITLES)
    for curve in PAPER:
        assert {f"{kind}-{arm}" for kind in ("arm", "band") for arm in ARMS} <= ids(plots[curve])
        kinds = ("arm", "bars", "line")
        wanted = {f"{kind}-{arm}" for kind in kinds for arm in tests}
        assert wanted <= ids(plots[f"{curve}_ratios"])
    goals = {measure.name for measure in MEASURES} - GUARDRAILS
    assert {f"{goal}-{arm}" for goal in goals for arm in tests} <= ids(plots["goals"])
    assert {f"{name}-{arm}" for name in GUARDRAILS for arm in tests} <= ids(plots["guardrails"])
    assert {*ARMS, *COMPONENTS} <= set(texts(plots["shares"]))


@pytest.mark.parametrize("curve", PAPER)
def test_lines_are_those_of_the_papers_numbers(curve: str) -> None:
    """On log axes: the intercept on day 1, and the slope times log k more on the last day."""
    intercept, slope = PAPER[curve]
    panels = groups(svgs(usual_page())[f"{curve}_ratios"], r"axes_\d+")

    for arm, panel_ in zip(ARMS[1:], panels, strict=True):
        ticks = groups(panel_, r"ytick_\d+")
        places = {math.log(float(texts(tick)[0])): heights(tick)[0] for tick in ticks}
        (low, bottom), *_, (high, top) = sorted(places.items())
        numbers = usual()["paper"][arm]
        first = numbers[intercept]["value"]
        shown = usual()["fit"][arm][curve]
        assert (shown["fits"], shown["first"]) == (True, 1)
        last = first + numbers[slope]["value"] * math.log(shown["last"])
        [line] = groups(panel_, f"line-{arm}")
        wanted = [bottom + (x - low) / (high - low) * (top - bottom) for x in (first, last)]
        assert heights(line) == pytest.approx(wanted, abs=0.01)


def test_ticks_are_numbers_that_people_read() -> None:
    """Days as they are, ratios around 1."""
    written = texts(svgs(usual_page())["retention_ratios"])

    assert {"1", "2", "5", "10", "20"} <= set(written)
    assert {"0.8", "1", "1.2"} <= set(written)


def test_the_tables_have_the_documents_numbers() -> None:
    """A lift with the interval that the verdict uses, which looking often does not break."""
    effect = usual()["effects"]["flattened"]["time_per_day"]

    low, high = (100 * effect[f"always_valid_{end}"] for end in ("low", "high"))
    assert usual()["interval"] == "always valid"
    assert f'<td class="is-clear">{low:+.1f} to {high:+.1f}</td>' in usual_page()
    assert all(sentence.replace("'", "&#39;") in usual_page() for sentence in usual()["verdict"])
    assert usual()["version"] in usual_page()


def test_it_needs_nothing_else() -> None:
    """No address, no script, nothing from another file; ids are one plot's own."""
    html = re.sub(r'xmlns(:\w+)?="[^"]*"', "", usual_page())
    found = re.findall(r'\bid="([^"]*)"', html)

    assert not re.search(r"https?:|<script|<link|<img|@import|\bsrc=", html)
    assert not re.search(r'url\((?!#)|href="(?!#)', html)
    assert len(found) == len(set(found))


def test_it_is_the_same_each_time() -> None:
    """Byte for byte: reports can be compared."""
    assert page(usual()) == usual_page()


def test_simulated_users_are_called_so_everywhere() -> None:
    """In the title, on top, in every section and plot; with the length of their day."""
    html = page(document(definition(*ARMS, simulated=True, day_s=600)))

    sections = html.split("<section")[1:]
    assert "<title>SIMULATED: spring" in html
    assert "A day of theirs lasts 600 seconds." in html
    assert all("SIMULATED" in section for section in sections)
    assert all("SIMULATED" in texts(svg) for svg in svgs(html).values())
    assert "Days since joining (a day lasts 600 s)" in texts(svgs(html)["retention"])


def test_people_are_never_called_simulated() -> None:
    """Nowhere."""
    assert "SIMULATED" not in usual_page()


def test_nothing_is_compared_where_users_are_lost() -> None:
    """The verdict says why; only what was drawn is shown."""
    lost = document(definition(*ARMS), lost=0.3)
    html = page(lost)

    assert lost["withheld"]
    assert "Withheld: the users do not lie in the arms as the shares say" in html
    assert list(svgs(html)) == ["calendar", "shares"]
    assert "Lift" not in html


@pytest.mark.parametrize(("users", "days"), [(31, 1), (100, 2), (400, 3)])
def test_too_little_data_makes_a_page_all_the_same(users: int, days: int) -> None:
    """It says what is missing, and draws what there is."""
    early = document(definition("a", "b"), users=users, days=days)
    html = page(early)

    assert early["missing"]
    assert all(sentence.replace("'", "&#39;") in html for sentence in early["missing"])
    assert ("retention" in svgs(html)) == (early["days"] > 0)


def test_eight_arms_are_told_apart() -> None:
    """Each has its own colour."""
    arms = [f"arm-{i}" for i in range(8)]
    html = page(document(definition(*arms), users=60, days=6))

    assert len(set(re.findall(r'class="dot" style="background: (#\w+)"', html))) == 8


def test_names_are_text() -> None:
    """Whatever they are made of."""
    html = page(document(definition("a<b>", "$x$ & <script>"), notes=("<i>note</i>",)))

    assert "$x$ & <script>" in texts(svgs(html)["retention"])
    assert not re.search(r"<script>|<b>|<i>", html)


def test_a_browser_opens_it(tmp_path: Path) -> None:
    """Chromium sees all plots, and has something to show."""
    file = tmp_path / "report.html"
    file.write_text(usual_page())

    seen = chromium.dom(file)
    picture = chromium.screenshot(file, 1280, 1600)

    assert seen.count("<svg") == len(TITLES)
    assert seen.rstrip().endswith("</html>")
    assert picture.stat().st_size > 50_000
    with Image.open(picture) as image:
        assert image.size == (1280, 1600)
        assert ImageStat.Stat(image.convert("L")).stddev[0] > 10


def test_it_is_no_wider_than_a_phone(tmp_path: Path) -> None:
    """Wide tables scroll by themselves, so that the page need not; a frame stands for the phone."""
    told = "document.title = this.contentDocument.documentElement.scrollWidth"
    file = tmp_path / "phone.html"
    file.write_text(
        f'<iframe width="360" height="900" frameborder="0" onload="{told}" '
        f'srcdoc="{escape(usual_page())}"></iframe>'
    )

    assert "<title>360</title>" in chromium.dom(file)
