"""Locust's users, against a real router in front of simulated components."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import httpx
import pytest
import yaml

from blended.launch import free_ports
from loadtests.users.people import load
from tests.journal.journals import journal
from tests.loadtests.locust_runs import (
    COMMAND,
    LOAD,
    ROOT,
    Habits,
    ended,
    hand_offs,
    locust,
    paced,
    started,
    turns,
)
from tests.support import CLIENT_KEY, blend, eventually, rig


async def test_users_hold_conversations_that_stream(people: Habits) -> None:
    """No request fails, conversations go on turn by turn, first tokens come before the last, and
    are told apart by turn and component."""
    async with rig(blend("a", "b", api={"reveal_component": True})) as front:
        run = await locust(front.url, "--run-time", "8s", "--people", people(think_s=1))

    assert run.status == 0, run.log
    chat, first = run.statistics["chat"], run.statistics["first token"]
    assert chat["num_requests"] == first["num_requests"] >= 4
    assert first["total_response_time"] < chat["total_response_time"]
    for names in (["turn 1", "turn 2 to 4", "turn 5 on"], ["a", "b"]):
        rows = [run.statistics.get(f"first token, {n}", {"num_requests": 0}) for n in names]
        assert rows[0]["num_requests"] > 0
        assert sum(row["num_requests"] for row in rows) == first["num_requests"]
    assert run.statistics["between tokens"]["num_requests"] > 0
    assert all(found == list(range(1, len(found) + 1)) for found in turns(front).values())
    assert any(len(found) > 1 for found in turns(front).values())


async def test_the_last_line_has_all_figures(people: Habits) -> None:
    """By component, turn and model they add up to those of all, and to the router's records."""
    simulation = {"ttft_ms": 0, "itl_ms": 5, "tokens": 4}
    both = [{"id": name, "kind": "simulated", "simulation": simulation} for name in ("a", "b")]
    async with rig(blend(components=both, api={"reveal_component": True})) as front:
        run = await locust(front.url, "--people", people(think_s=0.1, direct=0.3, abandoned=0))
        answered = Counter(record.component for record in front.records)
        handed_off = Counter(hand_offs(front))

    result = run.result
    assert result["load"]["loop"] == "closed"
    assert result["all"]["finished"] == len(front.records)
    for kind in ("by_component", "by_turn", "by_model"):
        assert sum(of["finished"] for of in result[kind].values()) == len(front.records)
    assert {name: of["finished"] for name, of in result["by_component"].items()} == answered
    assert result["by_model"].keys() == {"blend", "a", "b"}
    handed = {name: of["finished"] for name, of in result["by_hand_off"].items()}
    assert handed == handed_off
    assert sum(result["shares"].values()) == pytest.approx(1)
    found = result["all"]
    assert found["tokens"] > found["finished"]
    for name in ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms"):
        assert 0 < found[name]["p50"] <= found[name]["p99"]
    assert found["ttft_ms"]["p50"] <= found["e2e_ms"]["p50"]
    (client,) = result["client"]
    assert 0 < client["cpu"] < 1
    assert result["command"].startswith("locust ")


async def test_a_failure_is_counted_once_and_has_no_latency() -> None:
    """A model that is not there: every request fails, by the router's words."""
    async with rig(blend("a", "b")) as front:
        run = await locust(front.url, model="nobody")

    assert run.status == 1
    assert run.statistics["chat"]["num_failures"] == run.statistics["chat"]["num_requests"] > 0
    assert "first token" not in run.statistics
    assert run.result["all"]["failed"] == run.result["all"]["responses"] > 0
    assert run.result["all"]["e2e_ms"] is None
    ((error, occurrences),) = run.result["errors"].items()
    assert "404: " in error
    assert occurrences == run.result["all"]["failed"]
    assert "404: " in run.log


async def test_a_response_that_is_abandoned_neither_fails_nor_has_a_latency(people: Habits) -> None:
    """The client closes the stream after its second token, and the component stops generating."""
    async with rig(paced(tokens=10_000)) as front:
        run = await locust(
            front.url, "--people", people(streamed=1, abandoned=1, abandoned_tokens=1)
        )
        await eventually(lambda: len(front.records) == run.result["all"]["abandoned"])

    assert run.status == 0, run.log
    assert run.result["all"]["abandoned"] == run.result["all"]["responses"] > 0
    assert run.result["all"]["ttft_ms"] is None
    assert run.statistics["abandoned"]["num_failures"] == 0
    assert "chat" not in run.statistics
    assert "first token" not in run.statistics
    assert {record.state for record in front.records} == {"cancelled"}


async def test_a_regeneration_sends_the_same_history_again(people: Habits) -> None:
    """Every turn is answered twice, to messages as long."""
    async with rig(blend("a", "b")) as front:
        await locust(front.url, "--people", people(regenerated=1, think_s=0.2, abandoned=0))

    for found in turns(front).values():
        assert found == [1 + place // 2 for place in range(len(found))]
    lengths = defaultdict[tuple[str, int], set[int | None]](set)
    for record in front.records:
        lengths[record.conversation, record.turn].add(record.prompt_tokens)
    assert all(len(found) == 1 for found in lengths.values())


async def test_people_come_back(people: Habits, tmp_path: Path) -> None:
    """With others' conversations, under their own names; where nobody does all are new."""
    users = []
    for share in (0.0, 0.9):
        with journal(tmp_path / str(share)) as kept:
            async with rig(blend("a", "b"), kept) as front:
                options = people(returning=share, turns=1, think_s=0.1)
                await locust(front.url, "--users", "1", "--people", options)
        conversations = {(record.conversation, record.user) for record in front.records}
        users.append(len({user for _, user in conversations}) / len(conversations))

    # At least 15 conversations; each of them is new with a chance of 0.1.
    assert users[0] == 1
    assert users[1] < 0.6


async def test_single_components_are_asked_too(people: Habits) -> None:
    """Their ids are those that the API lists."""
    async with rig(blend("a", "b")) as front:
        run = await locust(front.url, "--people", people(direct=1, think_s=0.1))

    assert run.result["by_model"].keys() == {"a", "b"}
    assert {record.model for record in front.records} == {"a", "b"}


async def test_what_is_not_streamed_has_no_first_token(people: Habits) -> None:
    """Only its end is measured."""
    async with rig(blend("a", "b")) as front:
        run = await locust(front.url, "--people", people(streamed=0))

    assert run.status == 0, run.log
    assert not any(record.stream for record in front.records)
    assert run.result["all"]["ttft_ms"] is None
    assert run.result["all"]["e2e_ms"]["p50"] > 0


async def test_keys_are_shared_among_the_users(people: Habits) -> None:
    """Each has one for good: whoever has the wrong one is never answered, the others always."""
    async with rig(blend("a", "b")) as front:
        options = people(returning=0.5, turns=2, think_s=0.1, abandoned=0)
        run = await locust(front.url, "--people", options, key=f"{CLIENT_KEY}, wrong")

    assert run.result["all"]["failed"] > 0
    assert run.result["all"]["finished"] == len(front.records) > 0


async def test_a_seed_decides_what_is_said() -> None:
    """One user alone holds the same conversations in two runs, and others with another seed."""
    said = []
    for seed in ("7", "7", "8"):
        async with rig(blend("a", "b")) as front:
            await locust(front.url, "--users", "1", "--seed", seed)
        said.append(next(record.conversation for record in front.records))

    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("wrong", "wants a key of the blend in BLENDED_API_KEY, and its key is wrong (401: "),
        ("", "wants a key of the blend in BLENDED_API_KEY, and it is not set (401: "),
    ],
)
async def test_a_wrong_key_ends_the_run_and_says_so(key: str, said: str) -> None:
    """At once, with the status of a run that measured nothing."""
    async with rig(blend("a", "b")) as front:
        run = await locust(front.url, "--run-time", "10m", key=key)

    assert run.status == 2
    assert "chat" not in run.statistics
    assert said in run.log
    assert "Traceback" not in run.log
    assert run.result == {}


@pytest.mark.parametrize("loop", [(), ("--rate", "1")])
async def test_a_dead_host_ends_the_run_and_says_so(loop: tuple[str, ...]) -> None:
    """In a closed loop, and in an open one."""
    run = await locust(f"http://127.0.0.1:{free_ports.port()}", "--run-time", "10m", *loop)

    assert run.status == 2
    assert "start the blend there, or correct --host" in run.log
    assert "Traceback" not in run.log
    assert run.result == {}


async def test_the_file_works_from_any_folder(tmp_path: Path) -> None:
    """Also where there is no folder `loadtests`."""
    async with rig(blend("a", "b")) as front:
        process = await asyncio.create_subprocess_exec(
            *(*COMMAND, "--headless", "--host", front.url, *LOAD),
            cwd=tmp_path,
            env=os.environ | {"BLENDED_API_KEY": CLIENT_KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        run = await ended(process)

    assert run.status == 0, run.log
    assert run.result["all"]["finished"] > 0


async def test_the_help_has_the_options_of_this_file() -> None:
    """Beside Locust's own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtests.chat", "--help"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(), timeout=60)

    assert process.returncode == 0
    for option in ("--people", "--between-tokens-ms", "--client-lag-ms", "--headless"):
        assert option in out.decode()


async def test_a_service_level_decides_the_exit_status() -> None:
    """Kept or missed, it is said by how many responses; of two bounds either can be missed."""
    async with rig(paced(tokens=5)) as front:
        kept = await locust(front.url, "--first-token-ms", "9000", "--between-tokens-ms", "9000")
        late = await locust(front.url, "--first-token-ms", "0.001")
        slow = await locust(front.url, "--first-token-ms", "9000", "--between-tokens-ms", "0.001")

    assert kept.status == 0, kept.log
    assert "100.00% of" in kept.log
    assert late.status == slow.status == 1
    assert "0.00% of" in late.log
    assert slow.result["all"]["goodput"] < 0.5


async def test_a_client_that_is_the_bottleneck_is_refused() -> None:
    """By a sentence, and by another exit status than that of a level that was missed."""
    async with rig(blend("a", "b")) as front:
        run = await locust(front.url, "--client-cpu", "0.0001")

    assert run.status == 2
    assert run.statistics["chat"]["num_failures"] == 0
    assert "so that it was the bottleneck" in run.log
    assert len(run.result["refused"]) == 1


async def test_impossible_options_are_told_before_anything_starts(people: Habits) -> None:
    """With what to do."""
    for options, sentence in (
        (("--people", people(tarns=3)), "'tarns' is unknown"),
        (("--rate", "-1"), "--rate must be 0 or more"),
        (("--shape", "ramp"), "give --run-time"),
    ):
        process = await started("--host", "http://127.0.0.1:1", *options)
        _, log = await asyncio.wait_for(process.communicate(), timeout=60)

        assert process.returncode == 1
        assert sentence in log.decode()


async def test_the_web_ui_starts_runs() -> None:
    """One after the other, with other options; a mistake ends its run alone."""
    port = free_ports.port()
    async with rig(blend("a", "b")) as front:
        process = await started(
            *("--headful", "--web-host", "127.0.0.1", "--web-port", str(port)),
            *("--host", front.url, "--client-lag-ms", "60000"),
        )
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as ui:
            await answers(ui)
            await swarm(ui, {"Aggregated"}, shape="ramp")
            impossible = len(front.records)
            await swarm(ui, {"Aggregated", "chat"}, rate=8, run_time="2s")
        process.send_signal(signal.SIGINT)
        out, log = await asyncio.wait_for(process.communicate(), timeout=60)

    assert process.returncode == 0, log.decode()
    assert impossible == 0
    assert "give --run-time" in log.decode()
    result = json.loads(out.decode().splitlines()[-1])
    assert result["load"]["loop"] == "open"
    assert result["all"]["responses"] == len(front.records) > 0


async def answers(ui: httpx.AsyncClient) -> None:
    """Wait for the web UI."""
    async with asyncio.timeout(60):
        while True:
            with suppress(httpx.TransportError):
                await ui.get("/")
                return
            await asyncio.sleep(0.1)


async def swarm(ui: httpx.AsyncClient, rows: set[str], **fields: str | float) -> None:
    """Start a run in the web UI, and wait for its end with these rows of statistics."""
    form = {"user_count": 1, "spawn_rate": 1, **fields}
    assert (await ui.post("/swarm", data=form)).json()["success"]
    async with asyncio.timeout(60):
        while True:
            found = (await ui.get("/stats/requests")).json()
            if found["state"] == "stopped" and rows <= {row["name"] for row in found["stats"]}:
                return
            await asyncio.sleep(0.1)


async def test_the_pods_files_are_all_that_is_needed(tmp_path: Path) -> None:
    """Laid out as in Kubernetes, without any package but those of Locust."""
    documents = list(yaml.safe_load_all((ROOT / "k8s" / "loadtest" / "locust.yaml").read_text()))
    master, worker = (d["spec"]["template"]["spec"] for d in documents if d["kind"] == "Deployment")
    (volume,) = master["volumes"]
    assert worker["volumes"] == [volume]
    lay_out(volume["configMap"]["items"], tmp_path)
    for name in ("yaml", "pydantic", "numpy", "blended", "pyarrow"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not in the pod')\n")
    (container,) = master["containers"]
    arguments = [a for a in container["args"] if not a.startswith(("--master", "--host"))]

    async with rig(blend("a", "b")) as front:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "locust", *arguments, "--host", front.url),
            *("--headless", *LOAD),
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "BLENDED_API_KEY": CLIENT_KEY},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, log = await asyncio.wait_for(process.communicate(), timeout=60)

    assert process.returncode == 0, log.decode()
    assert json.loads(out.decode().splitlines()[-1])["all"]["finished"] > 0


def lay_out(items: list[dict[str, str]], folder: Path) -> None:
    """The ConfigMap's files at their places, made as k8s/README.md says."""
    found = [ROOT / "loadtests" / "chat.py", ROOT / "loadtests" / "harness" / "machine.py"]
    sources = {path.name: path for path in [*found, *(ROOT / "loadtests" / "users").iterdir()]}
    for item in items:
        path = folder / item["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(load())) if item["key"] == "people.json" else ""
        path.write_text(text or sources[item["key"]].read_text())
