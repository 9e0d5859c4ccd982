"""The changes that a new configuration makes to a running blend, and how each takes place.

Pure: both sides are the applications of a Serve config, by name, as `serve_config` writes them and
Serve's REST API gives them back (app.py: what goes where).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from blended.app import COMPONENT_APP_PREFIX, PICKER, REWARD_APP, ROUTER_APP
from blended.launch.json_diff import Difference, differences, shown
from blended.router.selection import normalise

Applications = Mapping[str, Mapping[str, Any]]
Kind = Literal[
    "name",
    "weights",
    "experiment",
    "setting",
    "replicas",
    "added",
    "pause",
    "engine",
    "router",
    "removed",
]

# Keys whose changes are shown as changes of the engine or of replicas, not as settings.
_NO_SETTING = ("id", "kind", "engine", "simulation", "replicas")
# Settings that a file need not have, and that mean nothing then.
_UNSET = {"best_of"}
_REWARD_SETTINGS = ("timeout_ms", "tokens", "version")
# The placement of replicas: a change of it moves them.
_PLACEMENT = (
    "max_replicas_per_node",
    "placement_group_bundles",
    "placement_group_strategy",
    "placement_group_bundle_label_selector",
)


@dataclass(frozen=True)
class Change:
    """One change; `subject` is the component's id, `reward`, `blend` or `router`, or the name of
    the experiment.
    """

    kind: Kind
    subject: str
    sentence: str


def changes(running: Applications, wanted: Applications) -> tuple[Change, ...]:
    """Every change from one state of a blend to another; slow changes come last."""
    old, new = _blend(running), _blend(wanted)
    ids = [*_components(new), *(i for i in _deployed(running) if i not in _components(new))]
    ids += [i for i in _components(old) if i not in ids]
    found = [
        *_name(old, new),
        *_weights(old, new),
        *_experiments(old, new),
        *_settings(old, new),
        *_replicas(running, wanted),
        *(change for i in ids for change in _component(i, running, wanted)),
        *_reward(running, wanted),
        *_pickers(running, wanted),
        *_pause(running, new),
        *_router(running, wanted),
    ]
    order = get_args(Kind)
    return tuple(sorted(found, key=lambda change: order.index(change.kind)))


def _name(old: Any, new: Any) -> Iterator[Change]:
    if old["name"] != new["name"]:
        sentence = (
            f"The blend is called '{new['name']}' at once; requests for the model '{old['name']}' "
            "are refused from then on."
        )
        yield Change("name", "blend", sentence)


def _weights(old: Any, new: Any) -> Iterator[Change]:
    before, after = _shares(old), _shares(new)
    moved = [
        f"{i} {_percent(before.get(i, 0))} → {_percent(after.get(i, 0))}"
        for i in {**before, **after}
        if before.get(i, 0) != after.get(i, 0)
    ]
    if moved:
        yield Change("weights", "blend", f"Weights: {', '.join(moved)}, at once.")


def _experiments(old: Any, new: Any) -> Iterator[Change]:
    # A deployment by an earlier version has none.
    before, after = ({e["name"]: e for e in b.get("experiments", ())} for b in (old, new))
    for name in {**before, **after}:
        if name not in after:
            sentence = (
                f"Experiment '{name}' is removed: its users get the blend's own shares at once."
            )
        elif name not in before:
            sentence = f"Experiment '{name}' is added, from {after[name]['start']} on."
        elif found := differences(before[name], after[name]):
            sentence = f"Experiment '{name}' changes ({shown(found)}), at once."
        else:
            continue
        yield Change("experiment", name, sentence)


def _settings(old: Any, new: Any) -> Iterator[Change]:
    before, after = _components(old), _components(new)
    for i in (i for i in after if i in before):
        # A component that becomes remote, or stops being remote, has entirely different settings.
        both = (before[i].keys() & after[i].keys() | _UNSET) - set(_NO_SETTING)
        found = [d for d in differences(before[i], after[i]) if d[0][0] in both]
        if found:
            sentence = f"The settings of '{i}' change ({shown(found)}), at once."
            yield Change("setting", i, sentence)
    apart = ("name", "components", "reward", "router", "tracing", "experiments")
    found = [
        difference
        for difference in differences(old, new)
        if difference[0][0] not in apart and difference[0][:2] != ("selection", "weights")
    ]
    if found:
        yield Change("setting", "blend", f"Settings change ({shown(found)}), at once.")
    if [i for i in before if i in after] != [i for i in after if i in before]:
        yield Change("setting", "blend", "The order of the components changes, at once.")


def _replicas(running: Applications, wanted: Applications) -> Iterator[Change]:
    for name in (name for name in wanted if name in running):
        if running[name]["import_path"] != wanted[name]["import_path"]:
            continue
        found = _scaling(running[name], wanted[name])
        if found:
            whose = f"'{_id(name)}'" if name != ROUTER_APP else "the router"
            last = [(path[-1:], before, after) for path, before, after in found]
            sentence = f"The replicas of {whose} change ({shown(last)}), without a restart."
            yield Change("replicas", _id(name), sentence)


def _component(i: str, running: Applications, wanted: Applications) -> Iterator[Change]:
    old, new = _components(_blend(running)).get(i), _components(_blend(wanted)).get(i)
    before, after = (apps.get(COMPONENT_APP_PREFIX + i) for apps in (running, wanted))
    if new is None:
        yield Change("removed", i, _removal(i, old, before))
    elif after is None and before is not None:
        sentence = (
            f"Component '{i}' becomes {new['kind']}: requests go to {new['base_url']} at once, and "
            "its application is deleted when the responses in flight there have ended."
        )
        yield Change("removed", i, sentence)
    elif before is None and (old is None or after is not None):
        yield Change("added", i, _addition(i, new, after, _shares(_blend(wanted))[i]))
    elif before is not None and after is not None:
        yield from _engine(i, new["kind"], before, after)


def _reward(running: Applications, wanted: Applications) -> Iterator[Change]:
    before, after = running.get(REWARD_APP), wanted.get(REWARD_APP)
    old, new = (_blend(apps).get("reward") or {} for apps in (running, wanted))
    if before is None and after is not None:
        sentence = (
            "The reward model is added: its application starts, and until it answers the first "
            "candidate is the response."
        )
        yield Change("added", REWARD_APP, sentence)
    elif before is not None and after is None:
        sentence = (
            "The reward model is removed: responses have one candidate at once, and its "
            "application is deleted."
        )
        yield Change("removed", REWARD_APP, sentence)
    elif before is not None and after is not None:
        if found := [d for d in differences(old, new) if d[0][0] in _REWARD_SETTINGS]:
            sentence = f"The settings of the reward model change ({shown(found)}), at once."
            yield Change("setting", REWARD_APP, sentence)
        if found := _restarts(before, after):
            sentence = (
                f"The reward model changes ({shown(found)}): its replicas restart, and the first "
                "candidate is the response where none of them answers."
            )
            yield Change("engine", REWARD_APP, sentence)


def _restarts(before: Any, after: Any) -> list[Difference]:
    """The differences that restart the replicas of an application."""
    if before["import_path"] != after["import_path"]:
        return [(("kind",), before["import_path"], after["import_path"])]
    found = [(p[1:] or p, x, y) for p, x, y in differences(before["args"], after["args"])]
    return found or _actor(before, after)


def _pickers(running: Applications, wanted: Applications) -> Iterator[Change]:
    """Changes of the deployments beside engines, once for all components with the same change."""
    found: dict[str, list[str]] = {}
    placed = set[str]()
    for name in (name for name in wanted if name in running):
        before, after = _picker(running[name]), _picker(wanted[name])
        # One that comes or goes does so with its engine, or with the first group of the router.
        if before and after and (difference := differences(before, after)):
            found.setdefault(shown(difference), []).append(f"'{_id(name)}'")
            if any(path != ("num_replicas",) for path, _, _ in difference):
                placed.add(shown(difference))
    for what, ids in found.items():
        whose = f"The replica pickers of {', '.join(ids)}"
        if what in placed:
            yield Change("router", "router", f"{whose} are replaced ({what}), the engines stay.")
        else:
            yield Change("replicas", "router", f"{whose} change ({what}), without a restart.")


def _picker(application: Mapping[str, Any]) -> Any:
    return next((d for d in application["deployments"] if d["name"] == PICKER), None)


def _removal(i: str, old: Any, before: Any) -> str:
    if before is None:
        return f"Component '{i}' is removed, at once: it is {old['kind']}, so nothing is deleted."
    return (
        f"Component '{i}' is removed: it gets no new responses at once, and its application is "
        "deleted when those in flight have ended."
    )


def _addition(i: str, new: Any, after: Any, share: float) -> str:
    starts = "" if after is None else "its application starts, and "
    joins = "it joins the draw when it answers" if share else "its weight is 0: it is never drawn"
    return f"Component '{i}' is added: {starts}{joins}."


def _engine(i: str, kind: str, before: Any, after: Any) -> Iterator[Change]:
    found = [(p[1:] or p, x, y) for p, x, y in differences(before["args"], after["args"])]
    if before["import_path"] != after["import_path"]:
        what = f"Component '{i}' becomes {kind}"
    elif found:
        what = f"The engine of '{i}' changes ({shown(found)})"
    elif found := _actor(before, after):
        what = f"What a replica of '{i}' starts with changes ({shown(found)})"
    else:
        return
    yield Change("engine", i, f"{what}: its replicas restart, the other components stay.")


def _pause(running: Applications, new: Any) -> Iterator[Change]:
    old = _components(_blend(running))
    drawn = (component for i, component in _components(new).items() if _shares(new)[i])
    if not any(_stays(component, old, running) for component in drawn):
        sentence = (
            "No component that runs now is drawn from then on: the blend answers when one joins."
        )
        yield Change("pause", "blend", sentence)


def _stays(component: Any, old: Mapping[str, Any], running: Applications) -> bool:
    is_remote = component["kind"] == "remote"
    deployed = COMPONENT_APP_PREFIX + component["id"] in running
    return component["id"] in old and (is_remote or deployed)


def _router(running: Applications, wanted: Applications) -> Iterator[Change]:
    if found := _actor(running[ROUTER_APP], wanted[ROUTER_APP]):
        sentence = (
            f"What a router replica starts with changes ({shown(found)}): they are replaced one "
            "after another, each of them once its responses have ended."
        )
        yield Change("router", "router", sentence)


def _blend(applications: Applications) -> Any:
    return applications[ROUTER_APP]["deployments"][0]["user_config"]["blend"]


def _components(blend: Any) -> dict[str, Any]:
    return {component["id"]: component for component in blend["components"]}


def _deployed(applications: Applications) -> list[str]:
    return [_id(name) for name in applications if name.startswith(COMPONENT_APP_PREFIX)]


def _id(app: str) -> str:
    return "router" if app == ROUTER_APP else app.removeprefix(COMPONENT_APP_PREFIX)


def _shares(blend: Any) -> dict[str, float]:
    weights = blend["selection"].get("weights")
    ids = [component["id"] for component in blend["components"]]
    distribution = normalise({i: 1.0 if weights is None else weights.get(i, 0.0) for i in ids})
    return dict(zip(ids, distribution.probabilities, strict=True))


def _scaling(before: Any, after: Any) -> list[Difference]:
    # The initial number of replicas has no meaning for a running deployment.
    aside = ("ray_actor_options", "user_config", "initial_replicas", *_PLACEMENT)
    found = differences(before["deployments"][0], after["deployments"][0])
    return [difference for difference in found if not set(aside) & set(difference[0])]


def _actor(before: Any, after: Any) -> list[Difference]:
    found = differences(before["deployments"][0], after["deployments"][0])
    return [
        (p if p[0] in _PLACEMENT else p[1:] or p, x, y)
        for p, x, y in found
        if p[0] in ("ray_actor_options", *_PLACEMENT)
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
