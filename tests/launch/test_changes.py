"""What a change of the file changes in a running blend."""

from collections.abc import Mapping
from typing import Any

import pytest

from blended.app import COMPONENT_APP_PREFIX, ROUTER_APP, serve_config
from blended.config import BlendConfig
from blended.launch.changes import Change, changes

A: dict[str, Any] = {"id": "a", "kind": "simulated"}
B: dict[str, Any] = {"id": "b", "kind": "simulated"}
C: dict[str, Any] = {"id": "c", "kind": "simulated"}
ENGINE: dict[str, Any] = {"model": "m", "max_model_len": 1024, "env": {"HF_TOKEN": "secret-1"}}
VLLM: dict[str, Any] = {"id": "a", "kind": "vllm", "engine": ENGINE}
FAR: dict[str, Any] = {"id": "far", "kind": "remote", "base_url": "http://far/v1", "model": "m"}


def applications(*components: dict[str, Any], **fields: Any) -> Mapping[str, Any]:
    config = BlendConfig.model_validate({"name": "first", "components": components, **fields})
    return {app["name"]: app for app in serve_config(config, 8000)["applications"]}


def between(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(c.kind, c.subject, c.sentence) for c in changes(before, after)]


def without(name: str, apps: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: app for key, app in apps.items() if key != COMPONENT_APP_PREFIX + name}


def test_the_same_file_changes_nothing() -> None:
    """Nor does one that says the same in other words."""
    said = applications(A, B, selection={"weights": {"a": 3, "b": 3}})

    assert changes(applications(A, B, FAR), applications(A, B, FAR)) == ()
    assert changes(applications(A, B), said) == ()


def test_weights_are_said_as_shares() -> None:
    """Only the components whose share moves are named."""
    before = applications(A, B, C, selection={"weights": {"a": 1, "b": 1, "c": 2}})
    after = applications(A, B, C, selection={"weights": {"a": 2, "b": 0, "c": 2}})

    sentence = "Weights: a 25 % → 50 %, b 25 % → 0 %, at once."
    assert between(before, after) == [("weights", "blend", sentence)]


def test_an_added_component_starts_and_joins() -> None:
    """The sentence tells a component with an application from a remote one, and one never drawn."""
    found = between(
        applications(A, B),
        applications(A, B, C, FAR, selection={"weights": {"a": 1, "b": 1, "c": 1, "far": 0}}),
    )

    assert found == [
        ("weights", "blend", "Weights: a 50 % → 33.3 %, b 50 % → 33.3 %, c 0 % → 33.3 %, at once."),
        (
            "added",
            "c",
            "Component 'c' is added: its application starts, and it joins the draw when it "
            "answers.",
        ),
        ("added", "far", "Component 'far' is added: its weight is 0: it is never drawn."),
    ]


def test_a_removed_component_drains_and_goes() -> None:
    """It comes last; a remote component has nothing that could be deleted."""
    found = changes(applications(A, B, FAR), applications(A))

    assert [(c.kind, c.subject) for c in found] == [
        ("weights", "blend"),
        ("removed", "b"),
        ("removed", "far"),
    ]
    assert found[1].sentence == (
        "Component 'b' is removed: it gets no new responses at once, and its application is "
        "deleted when those in flight have ended."
    )
    assert "nothing is deleted" in found[2].sentence


def test_what_an_interrupted_change_left_is_removed() -> None:
    """An application that the router no longer knows goes, and one that is missing returns."""
    whole = applications(A, B)
    left_over = {**applications(A), **whole, ROUTER_APP: applications(A)[ROUTER_APP]}

    assert [(c.kind, c.subject) for c in changes(left_over, applications(A))] == [("removed", "b")]
    assert [(c.kind, c.subject) for c in changes(without("b", whole), whole)] == [("added", "b")]


def test_an_engines_change_restarts_its_component_alone() -> None:
    """Every argument is named, but the values of variables, which may be keys, are not."""
    engine = {**ENGINE, "max_model_len": 2048, "args": {"max_num_seqs": 8, "enforce_eager": True}}
    engine["env"] = {"HF_TOKEN": "secret-2"}
    found = between(applications(VLLM, B), applications({**VLLM, "engine": engine}, B))

    assert found == [
        (
            "engine",
            "a",
            "The engine of 'a' changes (max_model_len 1024 → 2048, env.HF_TOKEN, "
            "args.max_num_seqs unset → 8, args.enforce_eager unset → true): its replicas restart, "
            "the other components stay.",
        )
    ]


def test_long_values_are_cut() -> None:
    """A chat template is not printed as a whole."""
    engine = {**ENGINE, "chat_template": "{{ x }}" * 100}
    (change,) = changes(applications(VLLM), applications({**VLLM, "engine": engine}))

    assert len(change.sentence) < 160
    assert "…" in change.sentence


def test_replicas_change_without_a_restart() -> None:
    """Serve's own names stand in the sentence; how many there are at the start does not."""
    more = {**A, "replicas": {"min": 2, "max": 4, "max_ongoing_requests": 40}}
    router = {"replicas": {"max": 9}}
    found = between(applications(A, B), applications(more, B, router=router))

    assert found == [
        (
            "replicas",
            "a",
            "The replicas of 'a' change (min_replicas 1 → 2, max_replicas 1 → 4, "
            "max_ongoing_requests 64 → 40), without a restart.",
        ),
        (
            "replicas",
            "router",
            "The replicas of the router change (max_replicas 8 → 9), without a restart.",
        ),
    ]


def test_what_a_replica_reserves_restarts_it() -> None:
    """Ray's actor options cannot change under a replica that runs."""
    component = {**A, "simulation": {"cpus": 0.5}}
    found = changes(applications(A, B), applications(component, B, router={"cpus": 2}))

    assert [(c.kind, c.subject) for c in found] == [("engine", "a"), ("router", "router")]
    assert "num_cpus 1 → 2" in found[1].sentence


def test_settings_change_at_once() -> None:
    """Those of a component and those of the blend are told apart; the seed is not shown."""
    warmer = {**A, "sampling": {"top_p": 0.9}, "timeouts": {"idle_s": 9}}
    found = between(
        applications(A, B),
        applications(warmer, B, api={"reveal_component": True}, selection={"seed": "hidden"}),
    )

    assert found == [
        (
            "setting",
            "a",
            "The settings of 'a' change (sampling.top_p.default unset → 0.9, timeouts.idle_s "
            "60 → 9), at once.",
        ),
        (
            "setting",
            "blend",
            "Settings change (selection.seed, api.reveal_component false → true), at once.",
        ),
    ]


def test_another_order_is_a_setting() -> None:
    """The same random number may then draw another component."""
    assert between(applications(A, B), applications(B, A)) == [
        ("setting", "blend", "The order of the components changes, at once.")
    ]


def test_the_name_is_the_model_id() -> None:
    """Another name is said first."""
    found = changes(applications(A), applications(A, B, name="second"))

    assert found[0].kind == "name"
    assert "'second'" in found[0].sentence
    assert "model 'first' are refused" in found[0].sentence


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (A, VLLM, ("engine", "Component 'a' becomes vllm: its replicas restart")),
        (A, {**FAR, "id": "a"}, ("removed", "requests go to http://far/v1 at once")),
        ({**FAR, "id": "a"}, A, ("added", "Component 'a' is added: its application starts")),
    ],
)
def test_a_component_may_become_one_of_another_kind(
    before: dict[str, Any], after: dict[str, Any], expected: tuple[str, str]
) -> None:
    """Its id stays, so that its weight does; what is deployed for it changes.

    Its defaults change as well, because a remote API has no token limit of its own.
    """
    kind, words = expected
    found = changes(applications(before, B), applications(after, B))
    (change,) = (change for change in found if change.kind == kind)

    assert {c.kind for c in found} <= {kind, "setting"}
    assert words in change.sentence


@pytest.mark.parametrize("before", [B, {**FAR, "id": "a"}])
def test_a_blend_of_which_nothing_stays_pauses(before: dict[str, Any]) -> None:
    """Somebody who replaces every component learns that nobody answers meanwhile."""
    sentence = "No component that runs now is drawn from then on: the blend answers when one joins."

    assert Change("pause", "blend", sentence) in changes(applications(before), applications(A))


def test_fields_that_came_with_a_newer_version_are_no_change_of_settings() -> None:
    """What runs was deployed before a component had the field, and behaves as its default."""
    older = applications(A)
    del older[ROUTER_APP]["deployments"][0]["user_config"]["blend"]["components"][0]["health"]

    assert changes(older, applications(A)) == ()


def with_pickers(count: int, most: int = 1) -> Mapping[str, Any]:
    """Two engines whose replica pickers are on the router's nodes, as many as routers."""
    replicas = {"min": count, "max": 8, "max_per_node": most}
    router = {"replica_group": "router", "replicas": replicas}
    return applications(VLLM, {**VLLM, "id": "b"}, router=router)


def test_replica_pickers_follow_the_routers_without_a_restart() -> None:
    """One sentence for all components; another placement replaces the pickers, not the engines."""
    more = between(with_pickers(2), with_pickers(3))
    moved = between(with_pickers(2), with_pickers(2, most=2))

    assert more[1] == (
        "replicas",
        "router",
        "The replica pickers of 'a', 'b' change (num_replicas 2 → 3), without a restart.",
    )
    assert (
        "router",
        "router",
        "The replica pickers of 'a', 'b' are replaced (max_replicas_per_node 1 → 2), the engines "
        "stay.",
    ) in moved


REWARD: dict[str, Any] = {"kind": "simulated", "correlation": 0.3}


def test_a_reward_model_comes_and_goes() -> None:
    """Neither touches the components, and both say what becomes of responses."""
    with_it, without_it = applications(A, reward=REWARD), applications(A)

    [(kind, subject, sentence)] = between(without_it, with_it)
    assert (kind, subject) == ("added", "reward")
    assert "until it answers the first candidate is the response" in sentence
    [(kind, subject, sentence)] = between(with_it, without_it)
    assert (kind, subject) == ("removed", "reward")
    assert "one candidate at once" in sentence


def test_a_reward_models_changes_are_told_apart() -> None:
    """Settings hold at once; another model, or another kind, restarts its replicas alone."""
    before = applications(A, reward=REWARD)

    [(kind, subject, sentence)] = between(before, applications(A, reward=REWARD | {"tokens": 64}))
    assert (kind, subject) == ("setting", "reward")
    assert "tokens 256 → 64" in sentence
    [(kind, subject, sentence)] = between(
        before, applications(A, reward=REWARD | {"correlation": 0.8})
    )
    assert (kind, subject) == ("engine", "reward")
    assert "correlation 0.3 → 0.8" in sentence
    replicas = {"replicas": {"min": 1, "max": 3}}
    [(kind, subject, _)] = between(before, applications(A, reward=REWARD | replicas))
    assert (kind, subject) == ("replicas", "reward")
    local = {"kind": "local", "model": "/models/reward.npz"}
    [(kind, subject, _)] = between(before, applications(A, reward=local))
    assert (kind, subject) == ("engine", "reward")


def test_candidates_are_a_setting() -> None:
    """They hold at once."""
    before = applications(A, reward=REWARD)
    [(kind, subject, sentence)] = between(before, applications(A | {"best_of": 4}, reward=REWARD))

    assert (kind, subject) == ("setting", "a")
    assert "best_of" in sentence
