"""What one replica would do on a GPU that is not at hand: python -m cluster.capacity.predict …

Asks aiconfigurator (pip install aiconfigurator; Apache-2.0), which adds up the times of a model's
kernels: measured once on each type of GPU, or by a formula where no measurement exists. Its answers
for several levels of load and lengths of prompts become a profile like those of
`cluster.capacity.profile`, marked as predicted. It needs no GPU and no weights, only the model's
config.json: aiconfigurator ships some and fetches others. For an unknown model, --like gives
another model of the same shape.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from blended.config import Engine, VllmComponent, gpu_shares
from blended.config.loading import load, parse_as
from blended.errors import BlendedError, ConfigError
from cluster.capacity.profile_files import FOLDER, PARSERS, LoadLevel, Profile, Times, served
from loadtests.harness.provenance import command_and_date, package_version

# Ray's accelerator types, as the systems that aiconfigurator has times of vLLM on.
_SYSTEMS = {
    "A100": "a100_sxm",
    "A100-80G": "a100_sxm",
    "B200": "b200_sxm",
    "B300": "b300_sxm",
    "GB200": "gb200",
    "GB300": "gb300",
    "H100": "h100_sxm",
    "H200": "h200_sxm",
    "L40S": "l40s",
    "RTX-PRO-6000": "rtx_pro_6000_server",
}
# Engine arguments that are asked about, and those that change no time.
_ASKED = {"gpu_memory_utilization", "max_num_seqs"}
_WITHOUT_EFFECT = {
    *PARSERS,
    "default_chat_template_kwargs",
    "enable_prefix_caching",
    "limit_mm_per_prompt",
}
# All of 16 bits are equally fast.
_DTYPES = {"auto", "bfloat16", "float16", "half"}
_CLIENTS = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128]
_ASSUMED = (
    "so many responses at once all the time, all of one length; one prompt computed in a step; "
    "first tokens wait for each other by aiconfigurator's own rule; router, proxies and network "
    "take no time; nothing varies, so that a 99th percentile is the mean"
)


class Refused(Exception):
    """aiconfigurator has no answer; the message is its own."""


def estimate(component: VllmComponent, model: str, running: int, prompt: int, response: int) -> Any:
    """aiconfigurator's answer for a number of concurrent responses and their numbers of tokens.

    Raises:
        ConfigError: it is not installed.
        Refused: it does not know the model, has no times for it, or the memory does not suffice.
    """
    try:
        ask = import_module("aiconfigurator.cli.api").cli_estimate
        unreachable = import_module("aiconfigurator_core.sdk.utils").HuggingFaceDownloadError
    except ImportError as exc:
        raise ConfigError(
            "There is no aiconfigurator here, which predicts; install it beside this package: "
            "pip install 'aiconfigurator>=0.12,<0.13'."
        ) from exc
    engine = component.engine
    try:
        found = ask(
            model,
            _SYSTEMS[engine.accelerator],
            backend_name="vllm",
            # Measured times, and formulas for kernels that were not measured.
            database_mode="HYBRID",
            isl=prompt,
            osl=response,
            batch_size=running,
            tp_size=engine.tensor_parallel_size,
            free_gpu_memory_fraction=_utilization(engine),
        )
    except (RuntimeError, ValueError, unreachable) as exc:
        raise Refused(str(exc)) from exc
    if found.kv_cache_warning:
        raise Refused(found.kv_cache_warning)
    return found


def _utilization(engine: Engine) -> float | None:
    """The part of a card's memory that the engine may fill; None for the default."""
    if engine.gpu_fraction is not None:
        return gpu_shares.utilization(engine.gpu_fraction)
    given: float | None = engine.args.get("gpu_memory_utilization")
    return given


def predict(job: argparse.Namespace) -> Profile:
    """Ask for every level with every length, up to the first level that is refused.

    Raises:
        ConfigError: there is no such component, or nothing can be said of it.
    """
    component = predictable(job)
    model = job.like or component.engine.model
    most = component.engine.args.get("max_num_seqs", max(job.clients))
    found, refusal = list[Any](), "give two levels at the least"
    for running in sorted(clients for clients in job.clients if clients <= most):
        try:
            level = [estimate(component, model, running, p, job.response) for p in job.prompts]
        except Refused as exc:
            refusal = str(exc)
            print(f"{running:4} at once, and more: left out. {refusal}", file=sys.stderr)
            break
        print(*(_shown(each) for each in level), sep="\n", file=sys.stderr)
        found += level
    if len(found) < 2 * len(job.prompts):
        raise ConfigError(f"Component '{job.component}' cannot be predicted: {refusal}")
    return Profile(
        component=job.component,
        made_by=_predicted_by(model, found),
        serves=served(component),
        points=tuple(point(each) for each in found),
    )


def predictable(job: argparse.Namespace) -> VllmComponent:
    """The component, if aiconfigurator knows everything that decides its speed.

    Raises:
        ConfigError: it is not, or there is no such component.
    """
    blend = load(job.blend)
    component = next((c for c in blend.components if c.id == job.component), None)
    if not isinstance(component, VllmComponent):
        ids = ", ".join(c.id for c in blend.components if isinstance(c, VllmComponent))
        raise ConfigError(f"There is no engine '{job.component}'; there are {ids or 'none'}.")
    engine = component.engine
    if engine.accelerator not in _SYSTEMS:
        raise ConfigError(
            f"Component '{job.component}' runs on '{engine.accelerator}', for which aiconfigurator "
            f"has no times; it has times for {', '.join(_SYSTEMS)}. Measure it: "
            f"python -m cluster.capacity.profile {job.component} --blend {job.blend}"
        )
    known = _ASKED | _WITHOUT_EFFECT
    known |= {"dtype"} if engine.args.get("dtype") in _DTYPES else set()
    if unknown := sorted(engine.args.keys() - known):
        raise ConfigError(
            f"Component '{job.component}' has engine arguments that cannot be predicted "
            f"({', '.join(unknown)}); predict it without them, or measure it with them."
        )
    return component


def point(found: Any) -> LoadLevel:
    """An answer, as a level of load at which no response was measured."""
    first, between = (float(ms) / 1e3 for ms in (found.ttft, found.tpot))
    return LoadLevel(
        running=found.batch_size,
        prompt=found.isl,
        response=found.osl,
        responses=0,
        ttft_s=Times(mean=first, p99=first),
        itl_s=Times(mean=between, p99=between),
        per_s=float(found.seq_per_second),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict; returns the exit status: 2 if nothing can be said."""
    job = _options(arguments)
    out = job.out or FOLDER / f"{job.component}.json"
    try:
        _keep_measured(out)
        found = predict(job).model_dump(mode="json")
    except BlendedError as exc:
        print(exc, file=sys.stderr)
        return 2
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found))
    return 0


def _keep_measured(path: Path) -> None:
    if path.exists() and not parse_as(Profile, path.read_text(), str(path)).predicted:
        raise ConfigError(
            f"The profile '{path}' was measured, which is better than a prediction; give another "
            "--out, or remove it."
        )


def _shown(found: Any) -> str:
    return (
        f"{found.batch_size:4} at once: prompt {found.isl}, {found.seq_per_second:.2f} responses/s,"
        f" first token {found.ttft:.1f} ms, between tokens {found.tpot:.2f} ms (predicted)"
    )


def _predicted_by(model: str, found: Sequence[Any]) -> dict[str, str]:
    return {
        **command_and_date("cluster.capacity.predict"),
        "predicted_by": f"aiconfigurator {import_module('aiconfigurator').__version__}",
        "predicted_for": f"vllm {found[0].backend_version} on {found[0].system_name}",
        "model": model,
        "measured_kernels": f"{_measured(found):.0%} of all time; the rest by formulas",
        "assumed": _ASSUMED,
        "blended": package_version(),
    }


def _measured(found: Sequence[Any]) -> float:
    """The share of the time of all kernels, over all levels, that was measured."""
    times = [
        (each.per_ops_data[step][kernel], source == "silicon")
        for each in found
        for step, sources in each.per_ops_source.items()
        for kernel, source in sources.items()
    ]
    return math.fsum(ms for ms, measured in times if measured) / math.fsum(ms for ms, _ in times)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cluster.capacity.predict", description=__doc__)
    add = parser.add_argument
    add("component", help="its id in the blend")
    add("--blend", required=True, help="a preset's name, or a file")
    add("--like", help="ask about this model instead: its name, or a folder with a config.json")
    add("--clients", type=_counts, default=_CLIENTS, help="at once: 1,2,4,…")
    add("--prompts", type=_counts, default=[256, 1024], help="tokens: two lengths or more")
    add("--response", type=int, default=256, help="tokens of a response")
    add("--out", type=Path, help="the file (cluster/capacity/profiles/COMPONENT.json)")
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
