"""From rounds to the result as JSON, and to its tables."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

from loadtests.studies.blend_cost import claim
from loadtests.studies.blend_cost.claim import Setup
from loadtests.studies.blend_cost.flops import DecoderShape, mean_flops
from loadtests.studies.blend_cost.series import BLEND, Round, Series, responses, series_of


@dataclass(frozen=True)
class Models:
    """The shapes of a blend's components, in their order, and of larger models to compare with."""

    components: Mapping[str, DecoderShape]
    larger: Mapping[str, DecoderShape]


def result(rounds: Sequence[Round], setup: Setup, models: Mapping[str, Models]) -> dict[str, Any]:
    """All figures of the rounds, by names with units.

    Raises:
        NotEnough: too few responses for a figure.
    """
    found = claim.figures(rounds, setup)
    errors = claim.standard_errors(rounds, lambda some: claim.figures(some, setup))
    parts = claim.verdicts(found, errors)
    return {
        "rounds": len(rounds),
        "series": series_figures(rounds, list(setup.weights)),
        "shares": shares(rounds, setup),
        "seconds_per_uncached_token": {
            c: claim.seconds_per_token(rounds, c, setup.caches) for c in setup.weights
        },
        "figures": {n: {"value": found[n], "standard_error": errors[n]} for n in found},
        "claim": {name: asdict(part) | {"holds": part.holds} for name, part in parts.items()},
        "flops_computed": {
            name: flops(rounds, list(setup.weights), each) for name, each in models.items()
        },
    }


def series_figures(rounds: Sequence[Round], components: Sequence[str]) -> dict[str, Any]:
    """Means per response, by series; prefill are the prompt tokens that no cache held."""
    every = series_of(components)

    def engine_s(some: Sequence[Round]) -> dict[str, float]:
        return {str(s): fmean(r.engine_s for r in responses(some, s)) for s in every}

    means, errors = engine_s(rounds), claim.standard_errors(rounds, engine_s)
    return {
        str(series): {
            "responses": len(found),
            "engine_s": means[str(series)],
            "engine_s_standard_error": errors[str(series)],
            "prompt_tokens": fmean(r.prompt for r in found),
            "prefill_tokens": fmean(r.uncached for r in found),
            "cached_tokens": fmean(r.cached for r in found),
            "decode_tokens": fmean(r.tokens for r in found),
        }
        for series in every
        if (found := responses(rounds, series))
    }


def shares(rounds: Sequence[Round], setup: Setup) -> dict[str, dict[str, float]]:
    """By component: how often the blend drew it, and how often it should on average."""
    drawn = Counter(r.component for r in responses(rounds, BLEND))
    return {
        component: {"expected": weight, "drawn": drawn[component] / drawn.total()}
        for component, weight in setup.weights.items()
    }


def flops(
    rounds: Sequence[Round], components: Sequence[str], models: Models
) -> dict[str, dict[str, float]]:
    """Operations per response: of the blend, with its price and without, of each model, of larger.

    The k-th shape stands for the k-th component, at its lengths and caches; a larger model has
    those of all components alone.
    """
    shapes = dict(zip(components, models.components.values(), strict=True))
    blend = responses(rounds, BLEND)
    alone = {c: responses(rounds, Series(c)) for c in components}
    each = {c: mean_flops(shape, alone[c]) for c, shape in shapes.items()}
    found = {
        "blend": fmean(mean_flops(shapes[r.component], [r]) for r in blend),
        "its components, as drawn": fmean(each[r.component] for r in blend),
        **dict(zip(models.components, each.values(), strict=True)),
    }
    everybody = [response for talks in alone.values() for response in talks]
    found |= {name: mean_flops(shape, everybody) for name, shape in models.larger.items()}
    of_blend = found["blend"]
    return {name: {"flops": value, "over_blend": value / of_blend} for name, value in found.items()}


def status(found: Mapping[str, Any]) -> int:
    """The exit status: 1 if a part of the claim is not shown."""
    return 0 if all(part["holds"] for part in found["claim"].values()) else 1


def tables(found: Mapping[str, Any]) -> Iterable[Table]:
    """The result as text."""
    yield _series_table(found["series"])
    yield _claim_table(found["figures"])
    for name, computed in found["flops_computed"].items():
        made = Table("", "GFLOP", "over the blend's", title=f"Computed, not measured: {name}")
        for model, one in computed.items():
            made.add_row(model, f"{one['flops'] / 1e9:,.3f}", f"{one['over_blend']:.2f}")
        yield made


def words(found: Mapping[str, Any]) -> Iterable[str]:
    """The claim in sentences."""
    for name, part in found["claim"].items():
        verdict = "holds" if part["holds"] else "is NOT shown"
        yield (
            f"{_PARTS[name]}: {part['ratio']:.3f} ± {part['standard_error']:.3f}; "
            f"that it is 1 within {part['tolerance']:.0%} {verdict}."
        )


_PARTS = {
    "cost_ratio": "The blend's engine seconds apart from the price, over its components'",
    "price_ratio": "The price of blending in prompt tokens, over theory's in whole blocks",
}

_ROWS = {
    "blend_s": "the blend, engine ms",
    "components_s": "its components, by the draws that were made",
    "components_expected_s": "its components, by their probabilities",
    "price_s": "the price: extra prompt tokens times seconds per token",
    "cost_ratio": "the blend without the price, over its components",
    "price_tokens": "extra prompt tokens, measured",
    "price_tokens_in_blocks": "… by theory, in whole blocks",
    "price_tokens_plain": "… by theory, (g-1)·(U+R)",
    "price_tokens_expected": "… by theory, averaged over all draws",
    "price_ratio": "measured over theory's in whole blocks",
    "price_ratio_plain": "measured over theory's (g-1)·(U+R)",
}


def _series_table(series: Mapping[str, Any]) -> Table:
    made = Table(
        "", "responses", "engine ms", "±", "prefill", "cached", "decode", title="Per response"
    )
    for name, one in series.items():
        tokens = (one[f"{kind}_tokens"] for kind in ("prefill", "cached", "decode"))
        ms = (f"{1e3 * one[key]:.2f}" for key in ("engine_s", "engine_s_standard_error"))
        made.add_row(name, str(one["responses"]), *ms, *(f"{count:.1f}" for count in tokens))
    return made


def _claim_table(figures: Mapping[str, Any]) -> Table:
    made = Table("", "", "±", title="The blend beside its components, per response")
    for name, words in _ROWS.items():
        factor, digits = (1e3, 2) if name.endswith("_s") else (1, 3 if "ratio" in name else 1)
        one = figures[name]
        numbers = (one["value"], one["standard_error"])
        made.add_row(words, *(f"{factor * number:.{digits}f}" for number in numbers))
    return made
