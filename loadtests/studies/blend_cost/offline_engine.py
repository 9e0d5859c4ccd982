"""A component on vLLM's offline engine in this process: a model's shape, with random weights."""

import json
import os
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path

import psutil

from loadtests.studies.blend_cost.series import (
    BLEND,
    ResponseCost,
    Round,
    Series,
    gathered,
    in_turns,
)
from loadtests.studies.blend_cost.sizes import MAX_LENGTH, SIZES, config

# As few threads as a blend's components have, and no compiler, which eager mode does not use.
_CPU_ENV = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
}
# The engine runs in this process, so that no memory of another process is missed.
_ENV = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}

BLOCK = 32
_USER_TOKENS = 20


@dataclass(frozen=True)
class OfflineJob:
    """The amount of load: rounds of groups of conversations, their turns and tokens."""

    sizes: str
    rounds: int
    turns: int
    tokens: int
    at_once: int
    seed: int

    @property
    def components(self) -> tuple[str, ...]:
        """In the order of their sizes."""
        return tuple(SIZES[self.sizes].shapes)

    def kv_cache_bytes(self, component: str) -> int:
        """Room for the keys and values of a round, with a quarter to spare.

        A round has the groups of the blend and the component's own, with one cache and with as many
        caches as there are components.
        """
        sizes, count = SIZES[self.sizes], len(self.components)
        shape = sizes.shapes[component]
        conversation = self.turns * (_USER_TOKENS + self.tokens) + BLOCK
        tokens = max(self.at_once * (2 * count + 1) * conversation * 5 // 4, 2 * MAX_LENGTH)
        return tokens * 2 * shape.layers * shape.kv_heads * shape.head * sizes.number_bytes

    def drawn(self, group: str) -> list[str]:
        """The components that a group of the blend draws in its turns, uniformly."""
        return random.Random(f"{self.seed} {group}").choices(self.components, k=self.turns)

    def said(self, what: str, count: int) -> list[int]:
        """The tokens of a user message, or of another component's response: at random."""
        vocabulary = min(shape.vocabulary for shape in SIZES[self.sizes].shapes.values())
        return random.Random(f"{self.seed} {what}").choices(range(vocabulary), k=count)


@dataclass(frozen=True)
class ComponentMeasurement:
    """One component's part: its responses by round and series, and the memory of its engine."""

    rounds: Sequence[Round]
    memory_mib: int


class OfflineEngine:
    """vLLM in this process, with random weights of a shape."""

    def __init__(self, job: OfflineJob, component: str, folder: Path) -> None:
        os.environ.update(_ENV | (_CPU_ENV if job.sizes == "tiny" else {}))
        sizes = SIZES[job.sizes]
        (folder / "config.json").write_text(json.dumps(config(sizes.shapes[component])))
        self._vllm = import_module("vllm")
        self.component, self._tokens = component, job.tokens
        self._llm = self._vllm.LLM(
            str(folder),
            load_format="dummy",
            skip_tokenizer_init=True,
            generation_config="vllm",
            dtype=sizes.dtype,
            max_model_len=MAX_LENGTH,
            block_size=BLOCK,
            kv_cache_memory_bytes=job.kv_cache_bytes(component),
            enable_prefix_caching=True,
            enforce_eager=job.sizes == "tiny",
            max_num_seqs=job.at_once,
        )

    def ask(
        self, prompts: Sequence[list[int]], salts: Sequence[str], turn: int
    ) -> list[tuple[ResponseCost, list[int]]]:
        """Responses, and their tokens, in one batch; caches of different salts share nothing."""
        sampling = self._vllm.SamplingParams(
            max_tokens=self._tokens, ignore_eos=True, detokenize=False
        )
        requests = [
            {"prompt_token_ids": prompt, "cache_salt": salt}
            for prompt, salt in zip(prompts, salts, strict=True)
        ]
        began = time.perf_counter()
        outputs = self._llm.generate(requests, sampling, use_tqdm=False)
        each_s = (time.perf_counter() - began) / len(outputs)
        found = []
        for prompt, output in zip(prompts, outputs, strict=True):
            words = list(output.outputs[0].token_ids)
            tokens = (len(prompt), output.num_cached_tokens, len(words))
            found.append((ResponseCost(self.component, turn, *tokens, each_s), words))
        return found


class OfflineGroup:
    """Conversations held at once, of which this engine answers the turns that draw its component.

    The other components' responses are random tokens, like those of random weights, so that no two
    engines have to run at once.
    """

    def __init__(self, job: OfflineJob, series: Series, name: str) -> None:
        self.series, self._job, self._name = series, job, name
        self._drawn = [series.component] * job.turns if series.component else job.drawn(name)
        self._histories: list[list[int]] = [[] for _ in range(job.at_once)]
        self.conversations: list[list[ResponseCost]] = [[] for _ in range(job.at_once)]

    def take_turn(self, engine: OfflineEngine, turn: int) -> None:
        """The next turn of all."""
        for member, history in enumerate(self._histories):
            history += self._job.said(f"{self._name} {member} {turn} user", _USER_TOKENS)
        if self._drawn[turn - 1] != engine.component:
            for member, history in enumerate(self._histories):
                history += self._job.said(f"{self._name} {member} {turn}", self._job.tokens)
            return
        cache = turn % self.series.caches
        salts = [f"{self.series} {self._name} {m} {cache}" for m in range(self._job.at_once)]
        answers = engine.ask([list(history) for history in self._histories], salts, turn)
        for member, (response, words) in enumerate(answers):
            self._histories[member] += words
            self.conversations[member].append(response)


def measure(job: OfflineJob, component: str) -> ComponentMeasurement:
    """Start one component's engine, warm it up, and let its series take turns in a random order."""
    before = _memory_mib()
    count = len(job.components)
    every = [*[BLEND] * count, Series(component), Series(component, count)]
    shuffled = random.Random(job.seed)
    with tempfile.TemporaryDirectory(prefix="cost-") as folder:
        engine = OfflineEngine(job, component, Path(folder))

        def one_round(number: int) -> Round:
            groups = [OfflineGroup(job, series, f"{number} {i}") for i, series in enumerate(every)]
            in_turns(groups, job.turns, shuffled, lambda one, turn: one.take_turn(engine, turn))
            return gathered(groups)

        one_round(0)
        rounds = [one_round(number) for number in range(1, job.rounds + 1)]
        return ComponentMeasurement(rounds, _memory_mib() - before)


def joined(parts: Sequence[Sequence[Round]]) -> list[Round]:
    """The components' rounds as those of one blend, its turns in their order."""
    rounds = list[Round]()
    for same in zip(*parts, strict=True):
        talks = zip(*(part[BLEND] for part in same), strict=True)
        blend = [sorted(chain(*talk), key=lambda response: response.turn) for talk in talks]
        rounds.append({s: found for part in same for s, found in part.items()} | {BLEND: blend})
    return rounds


def _memory_mib() -> int:
    """The memory in use on the GPU; without a GPU, that of this process."""
    torch = import_module("torch")
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        used: int = total - free
    else:
        used = psutil.Process().memory_full_info().uss
    return round(used / 2**20)
