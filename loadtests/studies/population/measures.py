"""A router's measurements of simulated responses: pure NumPy."""

from typing import NamedTuple

import numpy as np

from loadtests.studies.population.habits import Floats, Ints
from loadtests.studies.population.visits import Responses

_BLOCK_TOKENS = 16


class Measures(NamedTuple):
    """Times in seconds and tokens of responses that are answered; arrays of one length."""

    e2e_s: Floats
    router_s: Floats
    ttft_s: Floats
    itl_mean_s: Floats
    itl_p99_s: Floats
    prompt_tokens: Ints
    cached_tokens: Ints
    completion_tokens: Ints


def measures(responses: Responses, rng: np.random.Generator) -> Measures:
    """First tokens after about 0.12 s, then one in 20 ms until the end; prompts that grow."""
    size = len(responses.e2e_ms)
    e2e_s = responses.e2e_ms / 1e3
    ttft_s = np.minimum(rng.lognormal(np.log(0.12), 0.4, size), e2e_s / 2)
    generating_s = e2e_s - ttft_s
    pieces = 1 + np.floor(generating_s / rng.lognormal(np.log(0.02), 0.3, size)).astype(np.int64)
    itl_s = generating_s / pieces
    prompt_tokens = 75 * responses.turn - rng.integers(10, 50, size)
    is_known = (responses.turn > 1) | responses.again
    return Measures(
        e2e_s=e2e_s,
        router_s=ttft_s * rng.uniform(0.005, 0.02, size),
        ttft_s=ttft_s,
        itl_mean_s=itl_s,
        itl_p99_s=itl_s * rng.uniform(1.5, 3, size),
        prompt_tokens=prompt_tokens,
        cached_tokens=is_known * prompt_tokens * 3 // 4 // _BLOCK_TOKENS * _BLOCK_TOKENS,
        completion_tokens=pieces + 1,
    )
