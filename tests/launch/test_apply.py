"""Carrying a change out against Serve's REST API, here a server that answers as Serve does."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from blended.app import ROUTER_APP, serve_config
from blended.config import BlendConfig, Selection
from blended.errors import ConfigError, LaunchError
from blended.internal import INTERNAL_KEY_ENV
from blended.launch import apply
from blended.launch.apply import ChangePlan
from blended.launch.rest import ServeApi

OTHERS = {"name": "others", "route_prefix": "/others", "import_path": "others:app"}
A: dict[str, Any] = {"id": "a", "kind": "simulated"}
B: dict[str, Any] = {"id": "b", "kind": "simulated"}
C: dict[str, Any] = {"id": "c", "kind": "simulated"}
FAR: dict[str, Any] = {
    "id": "far",
    "kind": "remote",
    "base_url": "http://far/v1",
    "model": "m",
    "api_key_env": "FAR_KEY",
}
ENVIRON = {INTERNAL_KEY_ENV: "internal"}


def blend(*components: dict[str, Any], **fields: Any) -> BlendConfig:
    return BlendConfig.model_validate({"name": "first", "components": components, **fields})


@dataclass
class FakeServe:
    """Serve's applications by name; what is new is DEPLOYING once, what goes is DELETING once.

    `failing` applications do not start, `messages` are what deployments had to say before, `puts`
    the names of every configuration that came. With `is_instant` what is new
    runs at once, with `is_stuck` what goes is never gone.
    """

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    is_instant: bool = False
    is_stuck: bool = False
    puts: list[list[str]] = field(default_factory=list)
    cpus: float = 100

    def put(self, applications: list[dict[str, Any]]) -> None:
        wanted = {app["name"]: app for app in applications}
        self.puts.append(list(wanted))
        changed = {n for n, app in wanted.items() if self.applications.get(n) != app}
        gone = {n: {**app, "gone": True} for n, app in self.applications.items() if n not in wanted}
        self.applications = {**wanted, **gone}
        starting = "RUNNING" if self.is_instant else "DEPLOYING"
        self.statuses |= dict.fromkeys(changed, starting) | dict.fromkeys(gone, "DELETING")

    def get(self) -> dict[str, Any]:
        found = {name: self._details(name) for name in self.applications}
        for name, status in list(self.statuses.items()):
            if status == "DEPLOYING":
                self.statuses[name] = "DEPLOY_FAILED" if name in self.failing else "RUNNING"
                self.messages.pop(name, None)
            elif status == "DELETING" and not self.is_stuck:
                del self.statuses[name], self.applications[name]
        return {"applications": found}

    def _details(self, name: str) -> dict[str, Any]:
        config = self.applications[name]
        message = self.messages.get(name, "")
        return {
            "name": name,
            "status": self.statuses[name],
            "message": "",
            "deployed_app_config": None if "gone" in config else config,
            "deployments": {"D": {"message": message}},
        }

    def nodes(self) -> dict[str, Any]:
        alive = {
            "node_id": "a",
            "state": "ALIVE",
            "resources_total": {"CPU": self.cpus},
            "labels": {},
        }
        dead = {
            "node_id": "b",
            "state": "DEAD",
            "resources_total": {"CPU": 1000},
            "labels": {"blended/g": "true"},
        }
        return {"data": {"result": {"result": [alive, dead]}}}


@dataclass(frozen=True)
class Rig:
    serve: FakeServe
    api: ServeApi

    def run(self, blend: BlendConfig) -> None:
        """Let a blend run, as if it had been deployed long ago."""
        config = serve_config(blend, 8000)
        self.serve.applications |= {app["name"]: app for app in config["applications"]}
        self.serve.statuses |= dict.fromkeys(self.serve.applications, "RUNNING")

    def apply(self, blend: BlendConfig, timeout_s: float = 30) -> list[str]:
        """Change what runs into `blend`; returns what was reported."""
        said: list[str] = []
        apply.carry_out(self.api, apply.plan(self.api, blend), timeout_s, said.append)
        return said


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Serve with an application of somebody else."""
    serve = FakeServe({"others": OTHERS}, {"others": "RUNNING"})

    class Dashboard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(serve.nodes() if self.path == "/api/v0/nodes" else serve.get())

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            serve.put(json.loads(body)["applications"])
            self._answer({})

        def _answer(self, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Dashboard) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Rig(serve, ServeApi(f"http://127.0.0.1:{server.server_port}", None))
        server.shutdown()
        thread.join()


def test_what_is_removed_goes_last(rig: Rig) -> None:
    """One configuration with all applications, one without those that leave; others' stay."""
    rig.run(blend(A, B))
    said = rig.apply(blend(A, C))

    assert [sorted(names) for names in rig.serve.puts] == [
        ["blended", "component-a", "component-b", "component-c", "others"],
        ["blended", "component-a", "component-c", "others"],
    ]
    assert sorted(rig.serve.applications) == sorted(rig.serve.puts[-1])
    assert said[-2:] == ["b: finishing its responses", "b: deleted"]
    assert "c: running" in said
    assert not [sentence for sentence in said if sentence.startswith("a:")]


def test_the_router_leaves_the_removed_alone_at_once(rig: Rig) -> None:
    """The first configuration has the whole new blend already, at the port that it listens on."""
    rig.run(blend(A, B))
    rig.serve.is_instant = rig.serve.is_stuck = True
    with pytest.raises(LaunchError, match="b still finishes responses"):
        rig.apply(blend(A), timeout_s=0.1)

    (router,) = rig.serve.applications[ROUTER_APP]["deployments"]
    assert [c["id"] for c in router["user_config"]["blend"]["components"]] == ["a"]
    assert router["user_config"]["components_url"] == "http://127.0.0.1:8000"


def test_without_a_change_nothing_is_sent(rig: Rig) -> None:
    """The same blend leaves Serve alone."""
    rig.run(blend(A, B))

    assert rig.apply(blend(A, B)) == []
    assert rig.serve.puts == []


def test_what_an_earlier_change_did_not_bring_up_is_awaited(rig: Rig) -> None:
    """The same file again waits for what still starts, or says what failed."""
    rig.run(blend(A, B))
    rig.serve.statuses["component-b"] = "DEPLOYING"
    assert rig.apply(blend(A, B)) == []

    rig.serve.statuses["component-b"] = "DEPLOY_FAILED"
    with pytest.raises(LaunchError, match="Component 'b' cannot start"):
        rig.apply(blend(A, B))


def test_a_failure_of_an_earlier_attempt_is_not_that_of_this_one(rig: Rig) -> None:
    """Serve shows the message of the last attempt until the next one has come as far."""
    rig.run(blend(A, B))
    rig.serve.statuses["component-b"] = "DEPLOY_FAILED"
    rig.serve.messages["component-b"] = "The deployment failed to start 3 times in a row."
    said = rig.apply(blend(A, {**B, "simulation": {"tokens": 5}}))

    assert "b: running" in said


def test_a_component_that_fails_is_named(rig: Rig) -> None:
    """The others run; what leaves is still there, because not all that is wanted runs."""
    rig.run(blend(A, B))
    rig.serve.failing.add("component-c")
    with pytest.raises(LaunchError, match="Component 'c' cannot start"):
        rig.apply(blend(A, C))

    assert len(rig.serve.puts) == 1
    assert rig.serve.statuses["component-b"] == "RUNNING"


def test_somebody_elses_change_stops_this_one(rig: Rig) -> None:
    """What was looked at has to be what is changed."""
    rig.run(blend(A, B))
    plan = apply.plan(rig.api, blend(A))
    rig.run(blend(A, B, C))

    with pytest.raises(LaunchError, match="has changed meanwhile"):
        apply.carry_out(rig.api, plan, 30, print)
    assert rig.serve.puts == []


def test_without_a_blend_there_is_nothing_to_change(rig: Rig) -> None:
    """Applications of others are no blend."""
    with pytest.raises(LaunchError, match="No blend runs"):
        apply.plan(rig.api, blend(A))


def planned(rig: Rig, *components: dict[str, Any]) -> ChangePlan:
    return apply.plan(rig.api, blend(*components))


def engine(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": name, "kind": "vllm", "engine": {"model": "m", **fields}}


def test_what_this_machine_cannot_hold_is_refused(rig: Rig) -> None:
    """CPUs, GPUs and labels were fixed when Ray started; what leaves still counts beside the new.

    One engine reserves 2 CPUs, the router 8 and the rest 1.
    """
    rig.run(blend(engine("a")))
    rig.serve.cpus = 12
    apply.refuse_unfit(rig.api, planned(rig, engine("a", max_model_len=64)), ENVIRON)

    with pytest.raises(LaunchError, match=r"reserves 13 CPUs and .* has 12;"):
        apply.refuse_unfit(rig.api, planned(rig, engine("b")), ENVIRON)
    gpus = engine("a", accelerator="L4", tensor_parallel_size=2)
    with pytest.raises(LaunchError, match=r"reserves 2 GPUs and .* has 0;"):
        apply.refuse_unfit(rig.api, planned(rig, gpus), ENVIRON)
    with pytest.raises(LaunchError, match="without the label blended/g"):
        apply.refuse_unfit(rig.api, planned(rig, engine("a", replica_group="g")), ENVIRON)


def test_a_key_that_the_cluster_lacks_is_refused(rig: Rig) -> None:
    """The router could not take the blend, and would be down."""
    rig.run(blend(A))
    with pytest.raises(ConfigError, match="FAR_KEY"):
        apply.refuse_unfit(rig.api, planned(rig, A, FAR), ENVIRON)


def test_a_blend_of_another_version_is_said(rig: Rig) -> None:
    """What an older version deployed may have no meaning here."""
    rig.run(blend(A))
    (router,) = rig.serve.applications[ROUTER_APP]["deployments"]
    router["user_config"]["blend"]["of_old"] = 1

    with pytest.raises(LaunchError, match="another version of Blended"):
        apply.refuse_unfit(rig.api, planned(rig, A, B), ENVIRON)


def experimental(**fields: Any) -> BlendConfig:
    """A blend with an experiment that runs."""
    values: dict[str, Any] = {
        "name": "try",
        "users": [0.2, 0.4],
        "start": "2026-01-01",
        "end": "2999-01-01",
        "control": "a",
        "arms": [{"id": "a", "weights": {"a": 1}}, {"id": "all"}],
    }
    return blend(A, B, experiments=[values | fields])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"salt": "other"}, "control and arms stay as they are"),
        ({"start": "2026-01-02"}, "control and arms stay as they are"),
        ({"arms": [{"id": "a"}, {"id": "all"}]}, "control and arms stay as they are"),
        ({"users": [0.3, 0.5]}, "its slice can only grow at its end"),
        ({"users": [0.2, 0.3]}, "its slice can only grow at its end"),
    ],
)
def test_the_arms_of_a_running_experiment_stay(
    rig: Rig, fields: dict[str, Any], reason: str
) -> None:
    """Nobody's arm changes while it runs; nothing is sent to the cluster."""
    rig.run(experimental())

    with pytest.raises(LaunchError, match=rf"'try' runs, and .*{reason}"):
        apply.plan(rig.api, experimental(**fields))


def test_the_weights_of_an_adaptive_arm_may_move(rig: Rig) -> None:
    """Its treatment is what the blend draws by at any moment; to become adaptive is a change."""
    arms = [{"id": "a", "weights": {"a": 1}}, {"id": "all", "adaptive": True}]
    rig.run(experimental(arms=arms))
    selection = {"selection": Selection(weights={"a": 1, "b": 9})}
    moved = experimental(arms=arms).model_copy(update=selection)

    assert [change.kind for change in apply.plan(rig.api, moved).changes] == ["weights"]
    with pytest.raises(LaunchError, match="arms stay as they are"):
        apply.plan(rig.api, experimental())


def test_the_weights_that_an_arm_takes_from_the_blend_stay_too(rig: Rig) -> None:
    """The arm without weights of its own would be treated otherwise."""
    rig.run(experimental())
    changed = experimental().model_copy(update={"selection": Selection(weights={"a": 1, "b": 9})})

    with pytest.raises(LaunchError, match="arms stay as they are"):
        apply.plan(rig.api, changed)


def test_a_running_experiment_can_grow_end_or_be_joined(rig: Rig) -> None:
    """Each is said for what it is."""
    rig.run(experimental())
    grown = apply.plan(rig.api, experimental(users=[0.2, 0.9], end="2998-01-01"))
    gone = apply.plan(rig.api, blend(A, B))

    assert [c.sentence for c in grown.changes] == [
        "Experiment 'try' changes (users [0.2, 0.4] → [0.2, 0.9], "
        "end 2999-01-01T00:00:00Z → 2998-01-01T00:00:00Z), at once."
    ]
    assert [c.sentence for c in gone.changes] == [
        "Experiment 'try' is removed: its users get the blend's own shares at once."
    ]


def test_an_experiment_that_is_over_may_become_anything(rig: Rig) -> None:
    """What it measured is in the journal."""
    rig.run(experimental(end="2026-01-02"))

    assert apply.plan(rig.api, experimental(salt="other")).changes


def test_a_component_that_joins_changes_no_arm_that_does_not_draw_it(rig: Rig) -> None:
    """Arms that name their components stay as they are; nothing is refused."""
    arms = [{"id": "a", "weights": {"a": 1}}, {"id": "both", "weights": {"a": 1, "b": 1}}]
    before = experimental(arms=arms)
    rig.run(before)
    values = before.model_dump(mode="json")
    more = BlendConfig.model_validate(values | {"components": [A, B, C]})

    assert [change.kind for change in apply.plan(rig.api, more).changes if change.subject == "c"]


def test_what_an_earlier_version_deployed_has_no_experiments(rig: Rig) -> None:
    """It can be changed all the same."""
    rig.run(blend(A))
    (router,) = rig.serve.applications[ROUTER_APP]["deployments"]
    del router["user_config"]["blend"]["experiments"]

    assert apply.plan(rig.api, blend(A, B)).changes
