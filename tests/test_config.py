"""The configuration: what is accepted, and that every mistake is named at once."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from blended.config import BlendConfig, Replicas
from blended.config.loading import load, parse, presets
from blended.errors import ConfigError

GOOD = """
name: friends
components:
  - {id: ada, kind: simulated}
  - {id: bob, kind: vllm, engine: {model: org/model}, sampling: {temperature: 0.7}}
  - {id: eve, kind: remote, base_url: "https://example.org/v1", model: big, api_key_env: EVE_KEY}
selection: {weights: {ada: 1, bob: 2, eve: 0}}
"""


def mistakes(text: str) -> list[str]:
    """The mistakes in a file, without its name and their lines."""
    with pytest.raises(ConfigError) as error:
        parse(text, "blend.yaml")
    lines = str(error.value).splitlines()[1:]
    assert all(re.match(r"  blend\.yaml:\d+: ", line) for line in lines)
    return [line.split(": ", 1)[1] for line in lines]


def test_a_blend_is_read_from_yaml() -> None:
    """Each kind of component is read, numbers become defaults, and the rest has defaults."""
    blend = parse(GOOD, "blend.yaml")

    assert [c.kind for c in blend.components] == ["simulated", "vllm", "remote"]
    assert blend.components[1].sampling.temperature.default == 0.7
    assert blend.weights == {"ada": 1, "bob": 2, "eve": 0}
    assert not blend.api.reveal_component


def test_without_weights_the_draw_is_uniform() -> None:
    """The paper's distribution is the default."""
    assert load("demo").weights == {"ember": 1, "flint": 1, "willow": 1}


def test_every_mistake_is_reported_at_once() -> None:
    """Mistakes in fields and between fields come together, each with path, value and remedy."""
    found = mistakes(
        """
name: Two Words
components:
  - {id: a, kind: vllm, engine: {modle: x, accelerator: cpu}}
  - {id: a, kind: simulated, replicas: {min: 3, max: 2, max_ongoing_reqests: 4}}
  - {id: b, kind: telepathy}
  - {id: c, kind: remote, base_url: example.org, model: m, sampling: {top_p: {min: 1, max: 0}}}
selection: {weights: {a: -1, nobody: 1}}
"""
    )

    for expected in (
        "name: 'Two Words' is not valid",
        "components[0].engine.modle: unknown key 'modle'; did you mean 'model'?",
        "components[1].replicas.max_ongoing_reqests: unknown key 'max_ongoing_reqests'; "
        "did you mean 'max_ongoing_requests'?",
        "components[1].replicas: min 3 is above max 2; raise max or lower min",
        "components[0].id: 2 components are called 'a'; give each an id of its own",
        "components[2].kind: 'telepathy' is unknown; there are vllm, remote, simulated",
        "components[3].base_url: 'example.org' is not valid",
        "components[3].sampling.top_p: min 1 is above max 0; keep min <= default <= max",
        "selection.weights.a: -1 is not valid",
        "selection.weights.nobody: there is no component 'nobody'; the components are a, b, c",
        "selection.weights: components 'b', 'c' have no weight; write 0 for one that must not be",
    ):
        assert any(line.startswith(expected) for line in found), f"{expected!r} is not in {found}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: x\ncomponents: []", "components: a blend needs at least one component"),
        ("name: x", "components: this key is required; add it"),
        ("- a list", "the file: a list stands here; write a mapping with keys of: name, "),
        (
            "name: a\ncomponents: [{id: a, kind: simulated}]",
            "components[0].id: 'a' is also the name of the blend",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated}]\nselection: {weights: {a: 0}}",
            "selection.weights: all weights are 0",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated}]\nrouter: {replicas: {max: 1}}",
            "router.replicas: min 2 is above max 1",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated, sampling: {top_p: high}}]",
            "components[0].sampling.top_p: 'high' is not valid: write one number",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: remote, model: m, "
            "base_url: 'https://h/v1/chat/completions/'}]",
            "components[0].base_url: the router adds /chat/completions itself",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: remote, model: m, base_url: 'http://h/v1/models'}]",
            "components[0].base_url: the router adds /models itself; end the address before it",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated}]\napi: {cors_origins: ['http://x/']}",
            "api.cors_origins[0]: 'http://x/' is not valid: write scheme, host and port alone",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated}]\napi: {cors_origins: ['http://*:1']}",
            "api.cors_origins[0]: 'http://*:1' is not valid: write scheme, host and port alone",
        ),
        (
            "name: x\ncomponents: [{id: a, kind: simulated, "
            "replicas: {target_ongoing_requests: 9, max_ongoing_requests: 3}}]",
            "components[0].replicas: target_ongoing_requests 9 is above max_ongoing_requests 3",
        ),
    ],
)
def test_a_mistake_has_its_sentence(text: str, expected: str) -> None:
    """Each contradiction is one line that starts with its path."""
    assert any(line.startswith(expected) for line in mistakes(text)), mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2", "stands here twice"),
        ("? [a]\n: 1", "a list or a mapping as a key; write a text"),
    ],
)
def test_what_is_no_yaml_is_said_with_its_place(text: str, expected: str) -> None:
    """Broken YAML and a key given twice are refused with their line."""
    with pytest.raises(ConfigError, match=expected) as error:
        parse(text, "blend.yaml")

    assert re.match(r"blend\.yaml:\d: this is not valid YAML: ", str(error.value))


def test_an_address_with_a_password_is_refused_without_a_word_of_it() -> None:
    """Errors are printed and logged; the message says where keys belong."""
    [found] = mistakes(
        "name: x\ncomponents: [{id: a, kind: remote, model: m, base_url: 'https://ada:pw@h/v1'}]"
    )

    assert found.startswith("components[0].base_url: there is a user or a password in the address")
    assert "api_key_env" in found
    assert "pw@" not in found


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("selection: {weights: {ada: yes, bob: 2, eve: 0}}", "selection.weights.ada"),
        ("holdout: on", "holdout"),
        ("router: {cpus: true}", "router.cpus"),
        ("router: {replicas: {min: yes}}", "router.replicas.min"),
        ("api: {max_messages: yes}", "api.max_messages"),
        ("journal: {retention_days: yes}", "journal.retention_days"),
    ],
)
def test_a_boolean_is_no_number(text: str, path: str) -> None:
    """YAML reads yes and on as true, which would count as 1."""
    good = GOOD.partition("selection:")[0] if "selection" in text else GOOD
    [found] = mistakes(good + text)

    written = "true" if "true" in text else "on" if ": on" in text else "yes"
    assert found.startswith(f"{path}: {written} is not valid: write a number; YAML reads yes")


def test_a_boolean_is_no_number_inside_a_component() -> None:
    """In bounds, in lists and in the timing of a simulation."""
    found = mistakes(
        "name: x\ncomponents: [{id: a, kind: simulated, parameters: yes, simulation: {ttft_ms: on},"
        " replicas: {capacity: [1, yes]}, sampling: {n: {max: yes}, top_k: on}}]"
    )

    assert sorted(re.split(": (?:yes|on) is not valid: write ", line)[0] for line in found) == [
        "components[0].parameters",
        "components[0].replicas.capacity[1]",
        "components[0].sampling.n.max",
        "components[0].sampling.top_k",
        "components[0].simulation.ttft_ms",
    ]


@pytest.mark.parametrize("levels", [201, 3_000, 200_000])
@pytest.mark.parametrize("text", ["[", "{a: ", "- "])
def test_a_file_that_lies_too_deep_is_refused(text: str, levels: int) -> None:
    """Whatever its kind; PyYAML would end in a RecursionError, or end the process."""
    deep = text * levels + "1" + {"[": "]", "{a: ": "}", "- ": ""}[text] * levels
    with pytest.raises(ConfigError, match="lie more than 200 deep in each other; write fewer"):
        parse(deep, "blend.yaml")


def test_a_date_that_does_not_exist_is_no_yaml() -> None:
    """PyYAML raises another kind of error for it."""
    with pytest.raises(ConfigError, match="month must be in"):
        parse("a: 2027-13-45", "blend.yaml")


def test_a_missing_file_names_the_presets() -> None:
    """A source that is neither preset nor file says which presets there are."""
    with pytest.raises(ConfigError, match="demo, demo-best-of, modern, modern-one-gpu, paper"):
        load("nowhere.yaml")


def test_configuration_cannot_be_changed() -> None:
    """A loaded blend is frozen."""
    blend = load("demo")

    with pytest.raises(ValidationError):
        blend.name = "other"


@pytest.mark.parametrize("name", presets())
def test_presets_are_valid_and_survive_json(name: str) -> None:
    """Every preset loads, and travels through a Serve config unchanged."""
    blend = load(name)

    assert blend.name == name
    assert BlendConfig.model_validate(blend.model_dump(mode="json")) == blend


def test_the_paper_preset_is_the_papers_trio() -> None:
    """6B, 6B and 13B: 25B parameters, each on a replica group of its own, drawn uniformly."""
    components: list[Any] = list(load("paper").components)

    assert sum(c.parameters for c in components) == pytest.approx(25e9, rel=0.02)
    assert len({c.engine.replica_group for c in components}) == 3
    assert set(load("paper").weights.values()) == {1.0}


def test_defaults_bound_every_queue() -> None:
    """Without a word in the file, nothing queues without end and nothing autoscales never."""
    replicas = Replicas()

    assert replicas.target_ongoing_requests < replicas.max_ongoing_requests <= 1000
    assert replicas.max_queued_requests <= 1000


EXPERIMENTS = """
experiments:
  - name: try
    start: 2026-12-01
    end: 2026-12-31T12:00:00+01:00
    control: ada
    arms: [{id: ada, weights: {ada: 1}}, {id: all, share: 2}]
"""


def test_experiments_are_read_with_days_in_utc() -> None:
    """An arm without weights has the blend's own distribution, others only what they name."""
    blend = parse(GOOD + EXPERIMENTS, "blend.yaml")
    [experiment] = blend.experiments

    assert str(experiment.start) == "2026-12-01 00:00:00+00:00"
    assert experiment.end.timestamp() - experiment.start.timestamp() == 30 * 86_400 + 11 * 3600
    assert blend.arm_weights(experiment.arms[0]) == {"ada": 1, "bob": 0, "eve": 0}
    assert blend.arm_weights(experiment.arms[1]) == {"ada": 1, "bob": 2, "eve": 0}
    assert BlendConfig.model_validate(blend.model_dump(mode="json")) == blend


def test_experiments_that_cannot_be_are_refused_with_all_reasons() -> None:
    """Arms, weights, names and the journal they are read from."""
    found = mistakes(
        GOOD
        + """
journal: {enabled: false}
experiments:
  - {name: try, start: 2026-12-01, end: 2026-12-31, control: none, arms: [{id: a}, {id: a}]}
  - name: try
    start: 2026-12-01
    end: soon
    control: a
    arms: [{id: a, weights: {zoe: 1}, adaptive: true}, {id: none, weights: {ada: 0}}]
"""
    )

    for expected in (
        "journal.enabled: experiments are read from the journal",
        "experiments[0].control: there is no arm 'none'; the arms are a",
        "experiments[0].arms[1].id: 2 arms are called 'a'",
        "experiments[1].name: 2 experiments are called 'try'",
        "experiments[1].end: 'soon' is not valid",
        "experiments[1].arms[0].weights.zoe: there is no component 'zoe'",
        "experiments[1].arms[0].adaptive: an adaptive arm has the blend's weights of the moment",
        "experiments[1].arms[1].id: 'none' means users outside of every arm",
        "experiments[1].arms[1].weights: an arm needs at least one component",
    ):
        assert any(line.startswith(expected) for line in found), expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("users: [0.5, 0.5]", "experiments[1].users: the slice from 0.5 to 0.5 holds nobody"),
        ("end: 2026-11-30", "experiments[1].end: it ends at 2026-11-30 00:00:00"),
        ("users: [0.4, 1]", "experiments[1].users: 'try' takes some of the same users"),
        ("layer: other", None),
        ("users: [0.5, 1]", None),
        ("end: 2027-02-01, start: 2026-12-31T12:00:00+01:00", None),
    ],
)
def test_experiments_take_users_apart(fields: str, expected: str | None) -> None:
    """In one layer at one time; slices and times hold somebody."""
    first = EXPERIMENTS.replace("control: ada", "control: ada\n    users: [0, 0.5]")
    values = {"name": "more", "start": "2026-12-01", "end": "2026-12-31", "control": "a"}
    values |= dict(part.split(": ", 1) for part in fields.split(", ") if "[" not in fields)
    values |= dict([fields.split(": ", 1)] if "[" in fields else [])
    second = ", ".join(f"{key}: {value}" for key, value in values.items())
    text = GOOD + first + f"  - {{{second}, arms: [{{id: a}}, {{id: b}}]}}\n"

    if expected is None:
        assert len(parse(text, "blend.yaml").experiments) == 2
    else:
        assert any(line.startswith(expected) for line in mistakes(text))
