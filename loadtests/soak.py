"""Tests a blend under a long load: python -m loadtests.soak --blend demo

Brings the blend up, finds its knee with Locust (an open loop whose rate grows by steps, until one
step misses the level), and then holds 70 % of it for 10 minutes, after a warm-up. Meanwhile it
samples the memory of every process of the cluster. It counts anonymous memory (RSS less the part
that is shared with files or other processes). RSS counts Ray's shared memory in every process; to
read USS, the kernel counts pages one by one, which stops a process for seconds on a busy CPU.

A process grows if the 99.9 % interval of its memory's slope is above 0, from the means of blocks
because samples are correlated (loadtests/harness/memory_growth.py), and if it grows by more than
4 MiB over the run. Prints a line for each process and, last, one line of JSON, which `--out` keeps.
The exit status is 1 if a response failed, the level was missed, or any process grew; 2 if nothing
could be measured.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from blended.config.loading import load
from blended.errors import BlendedError
from loadtests.harness.memory import ProcessMemory, sample
from loadtests.harness.memory_growth import Trend, trend
from loadtests.harness.processes import Unavailable, last_line, spawned
from loadtests.harness.provenance import package_version, vllm_version
from loadtests.harness.start import up
from loadtests.harness.targets import CHAT, Place
from loadtests.users import people

LOCUSTFILE = Path(__file__).with_name("chat.py")
# Of the knee.
SHARE = 0.7


class NotMeasured(Exception):
    """No knee was found, or Locust has measured nothing."""


def prefer(pid: int) -> None:
    """Give a process priority for the CPU, where that is allowed.

    Beside a busy cluster on the same cores Locust would wait for tens of milliseconds at every
    token, and measure its own delay. It needs little CPU time.
    """
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        print("Locust has no priority here, and may be late; see its lag.", file=sys.stderr)


def locust(
    target: Mapping[str, Any],
    log: Path,
    *options: str,
    watch: Callable[[float], None] = lambda at_s: None,
    every_s: float = 10.0,
) -> dict[str, Any]:
    """Run Locust to its end, while `watch` is called now and then; returns its last line.

    Raises:
        NotMeasured: it printed no result, or was the bottleneck itself.
    """
    url, key = target["url"].removesuffix(CHAT), target["headers"]["authorization"].split()[1]
    command = [sys.executable, "-m", "locust", "--locustfile", str(LOCUSTFILE), "--host", url]
    env = {**os.environ, "BLENDED_API_KEY": key, "BLENDED_MODEL": ""}
    began = time.monotonic()
    with spawned([*command, "--headless", "--only-summary", *options], log, env) as process:
        prefer(process.pid)
        while process.poll() is None:
            watch(time.monotonic() - began)
            time.sleep(every_s)
    last = last_line(log.read_text(errors="replace"))
    if not last.startswith("{"):
        raise NotMeasured(f"Locust has measured nothing: {last}")
    document: dict[str, Any] = json.loads(last)
    if document["refused"]:
        raise NotMeasured(" ".join(document["refused"]))
    return document


def level(job: argparse.Namespace) -> list[str]:
    """Locust's options for the service level, the users, and the limits of a client."""
    names = ("first_token_ms", "between_tokens_ms", "client_lag_ms", "seed")
    return [f"--{name.replace('_', '-')}={getattr(job, name)}" for name in names]


def search(job: argparse.Namespace, target: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Load that grows by steps, twice as high until a step misses the level; Locust's figures.

    Raises:
        NotMeasured: not even the first step kept the level.
    """
    rate, seconds = job.rate, f"--run-time={round(job.steps * job.step_s)}s"
    while True:
        load = ("--shape=step", f"--steps={job.steps}", f"--rate={rate}", seconds)
        found = locust(target, folder / "knee.log", *load, *level(job))
        if (knee := found["knee"]) is None:
            raise NotMeasured("No load kept the level; give a lower --rate or a later level.")
        print(f"{knee['responses_per_s']:.2f} responses/s keep the level.", file=sys.stderr)
        if knee["is_bracketed"]:
            return found
        rate *= 2


def soak(
    job: argparse.Namespace, target: Mapping[str, Any], folder: Path, per_s: float
) -> tuple[dict[str, Any], list[ProcessMemory]]:
    """Hold a rate of responses for the whole time; Locust's figures, and all memory samples."""
    memories = dict[Any, ProcessMemory]()
    rate = per_s / people.load().responses
    seconds = f"--run-time={round(60 * (job.warm_up + job.minutes))}s"
    load = ("--shape=soak", f"--rate={rate:.4f}", seconds)

    def watch(at_s: float) -> None:
        sample(target["processes"](), at_s, memories)

    found = locust(target, folder / "soak.log", *load, *level(job), watch=watch)
    return found, list(memories.values())


def trends(
    memories: Sequence[ProcessMemory], from_s: float, until_s: float
) -> list[tuple[ProcessMemory, Trend]]:
    """The trend of each process that ran all the time between two moments, fastest growing first.

    Raises:
        NotMeasured: there are too few samples.
    """
    found = []
    for memory in memories:
        with suppress(ValueError):
            line = trend(memory.times_s, memory.anonymous_mib, from_s, until_s)
            found.append((memory, line))
    if not found:
        raise NotMeasured("There are too few samples of memory; give more --minutes.")
    return sorted(found, key=lambda pair: -pair[1].slope_mib_per_h)


def result(
    knee: Mapping[str, Any] | None,
    soaked: Mapping[str, Any],
    found: Sequence[tuple[ProcessMemory, Trend]],
) -> dict[str, Any]:
    """The last line: figures, trends, their samples, and complaints."""
    processes = [
        {
            "process": memory.name,
            **asdict(line),
            "growth_mib": line.growth_mib,
            "grows": line.grows,
            "times_s": [round(at_s, 1) for at_s in memory.times_s],
            "anonymous_mib": [round(mib, 2) for mib in memory.anonymous_mib],
            "rss_mib": [round(mib, 1) for mib in memory.rss_mib],
        }
        for memory, line in found
    ]
    return {
        "share_of_knee": SHARE,
        "complaints": list(complaints(soaked, found)),
        "processes": processes,
        "soak": dict(soaked),
        "knee_search": knee,
        "versions": {
            "blended": package_version(),
            "ray": version("ray"),
            "vllm": vllm_version(),
            **soaked["versions"],
        },
        "command": shlex.join(["python", "-m", "loadtests.soak", *sys.argv[1:]]),
    }


def complaints(
    soaked: Mapping[str, Any], found: Sequence[tuple[ProcessMemory, Trend]]
) -> Iterator[str]:
    """The reasons why the soak fails, as sentences."""
    responses = soaked["all"]
    for name in ("failed", "unfinished"):
        if responses[name]:
            yield f"{responses[name]} of {responses['responses']} responses are {name}."
    yield from (f"{count} times: {error}" for error, count in soaked["errors"].items())
    yield from soaked["missed"]
    for memory, line in found:
        if line.grows:
            yield f"{memory.name} grew by {line.growth_mib:.1f} MiB in {line.seconds:.0f} s."


def table(found: Sequence[tuple[ProcessMemory, Trend]]) -> str:
    """A line for each process: its memory, the slope with its standard error, and the growth."""
    head = f"{'process':48} {'MiB':>8} {'MiB/h':>9} {'± SE':>7} {'growth':>7}"
    lines = (
        f"{memory.name[:48]:48} {t.mib:8.1f} {t.slope_mib_per_h:9.2f} "
        f"{t.standard_error_mib_per_h:7.2f} {t.growth_mib:7.2f}{' grows' if t.grows else ''}"
        for memory, t in found
    )
    return "\n".join([head, *lines])


def measure(job: argparse.Namespace) -> dict[str, Any]:
    """Bring the blend up, find its knee unless that is given, and soak it.

    Raises:
        ConfigError: there is no such blend.
        NotMeasured: Locust could not measure it.
        Unavailable: it does not come up.
    """
    blend = load(job.blend).model_dump(mode="json", exclude_none=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        target = up(blend, Place(folder, {}), stack)
        found = None if job.knee else search(job, target, folder)
        knee = found["knee"]["responses_per_s"] if found else job.knee
        soaked, memories = soak(job, target, folder, SHARE * knee)
    growth = trends(memories, 60 * job.warm_up, 60 * (job.warm_up + job.minutes))
    print(table(growth))
    return result(found, soaked, growth)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak; returns the exit status."""
    job = _options(arguments)
    try:
        document = measure(job)
    except (BlendedError, NotMeasured, Unavailable) as exc:
        print(exc, file=sys.stderr)
        return 2
    print(*document["complaints"], sep="\n", file=sys.stderr)
    if job.out:
        job.out.write_text(json.dumps(document, allow_nan=False) + "\n")
    print(json.dumps(document, allow_nan=False))
    return 1 if document["complaints"] else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak", description=__doc__)
    add = parser.add_argument
    add("--blend", default="demo", help="a preset's name, or a file")
    add("--minutes", type=float, default=10, help="that memory is judged by")
    add("--warm-up", type=float, default=2, help="minutes of the same load before")
    add("--knee", type=float, help="responses per second, where it is known")
    add("--rate", type=float, default=8, help="new conversations/s at the search's last step")
    add("--steps", type=int, default=8, help="of the search")
    add("--step-s", type=float, default=30, help="seconds of a step; conversations last 25 or so")
    add("--first-token-ms", type=float, default=2000, help="service level, as Locust's")
    add("--between-tokens-ms", type=float, default=200, help="service level, as Locust's")
    add("--client-lag-ms", type=float, default=200, help="how late Locust itself may be")
    add("--seed", type=int, default=1)
    add("--out", type=Path, help="a file to keep the result in")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
