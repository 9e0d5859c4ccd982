"""Which pods of a RayService may hold the replicas of its Serve config, and whether they fit.

A selector that matches nothing is no error to Ray: the replica waits for ever.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from blended.config import gpu_shares
from blended.errors import Problem
from cluster.manifests import SERVE, Document, GroupSpec, at, groups
from cluster.rules.pods import amount, cpus, gpus
from cluster.rules.replica_needs import ACCELERATOR, ReplicaNeed, needs


def problems(rayservice: Document, serve: Document) -> list[Problem]:
    """Deployments without a group, or with several; replicas that do not fit, or not all."""
    workers = [group for group in groups(rayservice) if not group.head]
    found = list(_proxies(serve))
    placed: dict[str, list[ReplicaNeed]] = {group.path: [] for group in workers}
    for need in needs(serve):
        fitting = [group for group in workers if matches(group, need.selectors)]
        found += _ambiguous(need, fitting, workers)
        if len(fitting) == 1:
            misfits = list(_one_replica(need, fitting[0]))
            found += misfits
            placed[fitting[0].path] += [] if misfits else [need]
    for group in workers:
        found += _all_replicas(placed[group.path], group)
    return found


def matches(group: GroupSpec, selectors: Sequence[Mapping[str, str]]) -> bool:
    """Whether a group's labels satisfy all selectors, in Ray's syntax: `a`, `!a`, `in(a, b)`."""
    labels = at(group.spec, "labels")
    return all(
        _selected(condition, labels.get(key))
        for selector in selectors
        for key, condition in selector.items()
    )


def capacity(group: GroupSpec) -> dict[str, int]:
    """CPUs and GPUs of one pod, rounded up as Ray does."""
    return {"CPU": math.ceil(amount(cpus(group))), "GPU": math.ceil(amount(gpus(group)))}


def _selected(condition: str, value: str | None) -> bool:
    negated, text = condition.startswith("!"), condition.removeprefix("!")
    several = re.fullmatch(r"(?:in)?\((.*)\)", text)
    accepted = [item.strip() for item in several[1].split(",")] if several else [text]
    return (value in accepted) != negated


def _proxies(serve: Document) -> Iterator[Problem]:
    location = serve.get("proxy_location", "EveryNode")
    if location != "EveryNode":
        message = f"'{location}' leaves every worker not ready; write EveryNode"
        yield Problem(f"{SERVE}.proxy_location", message)


def _ambiguous(
    need: ReplicaNeed, fitting: list[GroupSpec], workers: list[GroupSpec]
) -> Iterator[Problem]:
    wanted = " and ".join(f"{key}={value}" for key, value in need.selectors[0].items()) or "none"
    if not fitting:
        there = ", ".join(f"{g.name} {dict(at(g.spec, 'labels'))}" for g in workers) or "none"
        message = f"no group has the labels of '{need.name}', {wanted}, so that it waits for ever"
        yield Problem(need.path, f"{message}; groups are {there}")
    elif len(fitting) > 1:
        names = ", ".join(group.name for group in fitting)
        message = f"'{need.name}' may run in several groups ({names}) by its labels, {wanted}"
        yield Problem(need.path, f"{message}; select a label that one group has alone")


def _one_replica(need: ReplicaNeed, group: GroupSpec) -> Iterator[Problem]:
    for resource, held in capacity(group).items():
        if (taken := need.at_once(resource)) > held:
            message = f"a replica of '{need.name}' takes {taken:g} {resource}s of one pod, and one"
            remedy = "write larger pods or smaller replicas"
            yield Problem(need.path, f"{message} of '{group.name}' has {held}; {remedy}")
    kinds = {kind for bundle in need.bundles for kind in bundle if kind.startswith(ACCELERATOR)}
    for kind in sorted(kinds - at(group.spec, "resources").keys()):
        message = f"is not set, without which no pod is ever added for '{need.name}'; write '1'"
        yield Problem(f"{group.path}.resources['{kind}']", message)


def _all_replicas(placed: list[ReplicaNeed], group: GroupSpec) -> Iterator[Problem]:
    most, hosts = group.spec.get("maxReplicas"), group.spec.get("numOfHosts", 1)
    required = math.ceil(_pods(placed, capacity(group)) / hosts)
    if most is not None and required > most:
        names = ", ".join(f"{need.replicas} of '{need.name}'" for need in placed)
        message = f"{most} is too few for all replicas ({names}), which take {required}"
        if any(_share(need) for need in placed):
            message += " in whatever order they come"
        yield Problem(f"{group.path}.maxReplicas", f"{message}; raise it, or lower max_replicas")


def _pods(placed: list[ReplicaNeed], pod: Mapping[str, int]) -> int:
    """How many pods are needed at the least for every replica that there may be."""
    counts = [0, *([_cards(placed)] if pod["GPU"] == 1 else [])]
    for resource, held in pod.items():
        everything = math.fsum(need.replicas * need.total(resource) for need in placed)
        counts.append(math.ceil(everything / held - 1e-9) if held else 0)
        for need in placed:
            taken = need.at_once(resource)
            bound = (
                math.floor(held / taken + 1e-9) if need.packed and 0 < taken <= held else math.inf
            )
            bound = min(bound, need.per_pod or math.inf)
            counts.append(math.ceil(need.replicas / bound))
    return max(counts)


def _cards(placed: list[ReplicaNeed]) -> int:
    """Pods of one GPU for all replicas that take a share of it."""
    replicas = Counter[int]()
    for need in placed:
        if share := _share(need):
            replicas[share] += need.replicas
    return gpu_shares.cards(replicas)


def _share(need: ReplicaNeed) -> int:
    """The share of one GPU that a replica takes, in hundredths; 0 if it takes whole ones."""
    taken = need.total("GPU")
    return gpu_shares.hundredths(taken) if taken < 1 else 0
