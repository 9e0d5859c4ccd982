"""From a rate and a service level to replicas: the command, its numbers, and what it refuses."""

import json
from pathlib import Path

import pytest
import yaml

from blended.config import gpu_shares
from blended.config.loading import load
from cluster.capacity import plan, profile_files
from cluster.capacity.queueing import (
    ComponentQueue,
    ServiceLevel,
)
from tests.cluster.capacity.sites import (
    BLEND,
    LENGTHS,
    LEVEL,
    curve,
    furnished,
    planned,
    profile,
    run,
)

ROOT = Path(__file__).parents[3]


def test_a_profile_gives_back_the_curve_that_it_lies_on(site: Path) -> None:
    """The fit finds every parameter, of means and of 99th percentiles."""
    small = load(str(site / "blend.yaml")).components[0]
    found, expected = profile_files.load(small, site).curve(), curve(1)

    assert found.most == expected.most
    for name in ("ttft", "ttft_p99", "itl", "itl_p99"):
        assert vars(getattr(found, name)) == pytest.approx(vars(getattr(expected, name)), rel=1e-9)


def test_every_profile_that_is_missing_is_named_with_its_command(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All at once, of the blend that is planned."""
    for name in ("small", "large"):
        (site / f"{name}.json").unlink()

    assert run(site, "--rate", "1") == 2
    lines = capsys.readouterr().err.splitlines()
    for line, name in zip(lines, ("small", "large"), strict=True):
        assert f"There is no profile of component '{name}'" in line
        command = f"python -m cluster.capacity.profile {name} --blend {site / 'blend.yaml'} --out "
        assert command in line


def test_each_component_is_planned_for_its_share(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its part of the rate, the fewest replicas for it and one to spare, and their GPUs."""
    found = planned(site, capsys, "--rate", "20")["components"]
    needed = {
        name: ComponentQueue(curve(slow), LENGTHS, ServiceLevel(0.8, 0.06), "hash").replicas(rate)
        for name, slow, rate in (("small", 1, 10.0), ("large", 2, 5.0))
    }

    assert list(found) == ["small", "large"]
    assert [found[name]["share"] for name in found] == [0.5, 0.25]
    assert [found[name]["rate"] for name in found] == [10, 5]
    for name, gpus in (("small", 1), ("large", 2)):
        assert found[name]["min_replicas"] == found[name]["max_replicas"] == needed[name] + 1
        assert found[name]["gpus"] == gpus * (needed[name] + 1)
        assert 1 <= found[name]["target_ongoing_requests"] <= found[name]["max_ongoing_requests"]
        assert found[name]["missed"] <= 0.01


def test_a_conversation_gives_the_lengths_of_each_component(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The component that is drawn less often has more to read; look-ahead leaves it less to do."""
    talk = ("--user", "60", "--response", "100", "--turns", "3", "--ttft", "0.3", "--itl", "0.06")
    found = []
    for look_ahead in ("false", "true"):
        text = (site / "blend.yaml").read_text()
        (site / "blend.yaml").write_text(text + f"  look_ahead: {look_ahead}\n")
        options = ("--profiles", str(site), "--rate", "50", *talk, "--json")
        assert plan.main([str(site / "blend.yaml"), *options]) == 0
        found.append(json.loads(capsys.readouterr().out))
        (site / "blend.yaml").write_text(text)

    without, ahead = (of["components"]["large"] for of in found)
    assert ahead["max_ongoing_requests"] > without["max_ongoing_requests"]


def test_a_policy_is_planned_by_the_shares_that_it_draws_by(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are only what it falls back to, and are no plan."""
    text = (site / "blend.yaml").read_text()
    (site / "blend.yaml").write_text(text + "  policy: friends-1@0123456789ab\n")

    assert run(site, "--rate", "1") == 2
    assert "`blended learn evaluate` prints them" in capsys.readouterr().err
    weights = ",".join(f"{name}=1" for name in load(str(site / "blend.yaml")).weights)
    assert run(site, "--rate", "1", "--weights", weights) == 0


def test_a_day_gives_fewer_replicas_to_its_quiet_hours(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The peak decides the most, the quietest hour the least, and all hours what it costs."""
    constant = planned(site, capsys, "--rate", "40")
    rates = ",".join(["4"] * 16 + ["40"] * 8)
    day = planned(site, capsys, "--rate", rates)

    for name, found in day["components"].items():
        assert found["max_replicas"] == constant["components"][name]["max_replicas"]
        assert found["min_replicas"] < found["max_replicas"]
    assert day["routers"] == constant["routers"]
    # Quiet hours pay for the spare replicas as well.
    assert day["gpu_seconds_per_1000"] > constant["gpu_seconds_per_1000"]


def test_capacity_is_what_each_number_of_replicas_answers_well(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One replica of each number is to spare; the planned ones are enough, one fewer is not."""
    for name, found in planned(site, capsys, "--rate", "40")["components"].items():
        least, *_, last, all_of_them = found["capacity"]
        assert len(found["capacity"]) == found["max_replicas"], name
        assert least == 0
        assert last < found["rate"] <= all_of_them
        assert found["capacity"] == sorted(found["capacity"])


def test_gpu_seconds_and_money_are_those_of_the_replicas(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a constant rate: GPUs over responses per second, times a thousand."""
    found = planned(site, capsys, "--rate", "20", "--price", "L40S=1.8,H100=3.6")
    small, large = (found["components"][name]["gpus"] for name in ("small", "large"))

    assert found["gpu_seconds_per_1000"] == pytest.approx(1000 * (small + large) / 20)
    assert found["money_per_1000"] == pytest.approx(1000 * (small * 1.8 + large * 3.6) / 20 / 3600)


def test_routers_grow_with_the_tokens(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two at the least; 9.6 ms of a CPU for 100 tokens, 60 % busy, and one to spare."""
    assert planned(site, capsys, "--rate", "1")["routers"] == 2
    assert planned(site, capsys, "--rate", "490")["routers"] == 9


def test_other_weights_are_shown_beside_the_present(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the table, replicas and GPUs of both."""
    assert run(site, "--rate", "40", "--weights", "small=0,large=3,far=1") == 0
    text = capsys.readouterr().out

    assert "→" in text
    assert "0.0%" in text
    assert "75.0%" in text


def test_a_plan_is_written_into_the_file(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Comments and order stay; what was shared by an anchor is apart; the weights are in."""
    weights = "small=1,large=1,far=2"
    found = planned(site, capsys, "--rate", "20", "--weights", weights, "--write")["components"]
    text = (site / "blend.yaml").read_text()
    written = {c["id"]: c.get("replicas") for c in yaml.safe_load(text)["components"]}
    blend = load(str(site / "blend.yaml"))

    assert "# The blend of this test." in text
    assert "# two GPUs" in text
    for name in ("small", "large"):
        keys = {"min": "min_replicas", "max": "max_replicas"}
        limits = ("target_ongoing_requests", "max_ongoing_requests", "max_queued_requests")
        keys |= {key: key for key in (*limits, "capacity")}
        assert written[name] == {key: found[name][of] for key, of in keys.items()}
    assert written["far"] is None
    assert blend.weights == {"small": 1, "large": 1, "far": 2}


def test_an_id_that_readers_mistake_for_a_number_is_written_as_a_text(tmp_path: Path) -> None:
    """As the key of a weight, too."""
    blend = BLEND.replace("small", "'on'").replace("large", "'0777'").replace("e/'on'", "e/on")
    site = furnished(tmp_path, blend.replace("e/'0777'", "e/large"))
    weights = ("--weights", "on=1,0777=1,far=2")

    assert run(site, "--rate", "20", *weights, "--write") == 0
    assert load(str(site / "blend.yaml")).weights == {"on": 1, "0777": 1, "far": 2}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--rate", "0"), "rates are responses per second: none below 0, one above 0"),
        (("--rate", "1,2,3"), "there are 3 rates; give one, or one for each of 24 hours"),
        (("--rate", "5", "--goodput", "1"), "a goodput of 1 is not between 0 and 1"),
        (("--rate", "5", "--spare", "-1"), "-1 spare replicas are fewer than none"),
        (("--rate", "5", "--itl", "0.02"), "Component 'large' cannot meet the service level"),
        (("--rate", "5", "--prompt", "5000"), "knows prompts of 50 to 600 tokens, and 5000 are"),
        (("--rate", "5", "--response", "10"), "knows responses of 50 to 200 tokens, and 10 are"),
        (("--rate", "5", "--user", "20", "--turns", "4"), "Give either --prompt, or --user and"),
        (("--rate", "5", "--weights", "small=1"), "name each of small, large, far"),
        (("--rate", "5", "--price", "L40S=1"), "There is no price of H100"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    site: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], expected: str
) -> None:
    """With the reason, and nothing on the standard output."""
    assert run(site, *options) == 2
    printed = capsys.readouterr()
    assert expected in printed.err
    assert printed.out == ""


def test_a_profile_has_to_be_there_and_of_this_engine(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What differs is named, and how to make another."""
    text = (site / "blend.yaml").read_text()
    (site / "blend.yaml").write_text(text.replace("e/small", "e/other"))
    assert run(site, "--rate", "5") == 2
    assert "another engine than that of component 'small' (model differ)" in capsys.readouterr().err

    (site / "small.json").unlink()
    assert run(site, "--rate", "5") == 2
    assert "python -m cluster.capacity.profile small" in capsys.readouterr().err


def test_the_demo_can_be_planned(capsys: pytest.CaptureFixture[str]) -> None:
    """The profiles that are kept are those of its components; one fits this machine."""
    level = ("--prompt", "100", "--response", "60", "--ttft", "1.5", "--itl", "0.04")

    assert plan.main(["demo", "--rate", "12", *level, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: c["min_replicas"] for name, c in found["components"].items()} == {
        "ember": 2,
        "flint": 2,
        "willow": 2,
    }
    assert found["gpu_seconds_per_1000"] == 0


def test_a_plan_says_what_was_only_predicted(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In JSON and in the table: of a replica that nobody measured, only means are known."""
    assert planned(site, capsys, "--rate", "5")["predicted"] == []
    path = site / "small.json"
    path.write_text(path.read_text().replace('"responses": 50', '"responses": 0'))

    assert planned(site, capsys, "--rate", "5")["predicted"] == ["small"]
    assert run(site, "--rate", "5") == 0
    assert "predicted, not measured: small" in " ".join(capsys.readouterr().out.split())


def test_a_preset_is_not_written(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is everybody's; and without a profile of its components there is no plan either."""
    options = ["demo", "--profiles", str(site), *LEVEL, "--rate", "5", "--write"]
    for component in load("demo").components:
        (site / f"{component.id}.json").write_text(json.dumps(profile(component)))

    assert plan.main(options) == 2
    assert "'demo' is a preset; copy it to a file" in capsys.readouterr().err


SHARED = BLEND.replace("L40S}", "H100, gpu_fraction: 0.3, replica_group: card}").replace(
    "H100, tensor_parallel_size: 2}", "H100, gpu_fraction: 0.4, replica_group: card}"
)


def test_components_on_one_card_are_planned_as_if_all_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three replicas fit on a card, so that each is planned to take three times as long."""
    site = furnished(tmp_path, SHARED)
    level = ("--ttft", "2.4", "--itl", "0.18")
    found = planned(site, capsys, "--rate", "20", *level, "--price", "H100=3.6")
    needed = {
        name: ComponentQueue(curve(3 * slow), LENGTHS, ServiceLevel(2.4, 0.18), "hash").replicas(
            rate
        )
        + 1
        for name, slow, rate in (("small", 1, 10.0), ("large", 2, 5.0))
    }
    counts = {name: c["max_replicas"] for name, c in found["components"].items()}

    assert counts == needed
    assert found["components"]["small"]["gpus"] == pytest.approx(0.3 * counts["small"])
    assert found["gpus"] == gpu_shares.cards({30: counts["small"], 40: counts["large"]})
    # Cards are paid as wholes.
    assert found["gpu_seconds_per_1000"] == pytest.approx(1000 * found["gpus"] / 20)
    assert found["money_per_1000"] == pytest.approx(1000 * found["gpus"] * 3.6 / 20 / 3600)
