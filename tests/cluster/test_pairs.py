"""Edits that platform teams make, each beside the RayCluster that runs, and what is said of them.

What is said is in the folder pairs: recorded, and read one by one against KubeRay's rules. The
rules are those of the operator 1.7.0, as they were seen there and read in its source.
"""

from pathlib import Path

import pytest
import yaml

from cluster.diff import sentences
from tests.cluster.edits import (
    Pair,
    Step,
    added,
    engine,
    marked,
    of_container,
    of_group,
    of_pod,
    of_service,
    patched,
    pods,
    remote,
    removed,
    renamed,
    reordered,
    replicas,
    setting,
    small,
    top,
    upgrade,
)

EXPERIMENT = {
    "name": "e",
    "start": "2026-12-01",
    "end": "2027-01-01",
    "control": "a",
    "arms": [{"id": "a"}, {"id": "b", "weights": {"small": 1}}],
}
NEW = "NewCluster"
IMAGE, WEIGHTS = (
    setting(image="blended-gpu:2"),
    top(selection={"weights": {"small": 3, "large": 1}}),
)
ENV_ORDER = of_container(lambda container: container["env"].reverse())
TOLERATION = pods(tolerations=[{"key": "spot"}])
IDLE = setting(idle_timeout_s=600)

OF_BLEND = {
    "weights": Pair(WEIGHTS),
    "a weight of zero": Pair(top(selection={"weights": {"small": 1, "large": 0}})),
    "sampling": Pair(Step(lambda b, s: small(b).update(sampling={"temperature": 0.5}))),
    "an experiment": Pair(top(experiments=[EXPERIMENT])),
    "replica counts": Pair(replicas(min=2, max=4)),
    "target of autoscaling": Pair(replicas(target_ongoing_requests=16)),
    "longest response": Pair(replicas(graceful_shutdown_timeout_s=1200)),
    "router replicas": Pair(top(router={"replicas": {"min": 3, "max": 8}})),
    "router replicas over the cap": Pair(top(router={"replicas": {"min": 2, "max": 12}})),
    "engine argument": Pair(engine(args={"max_num_seqs": 64})),
    "model": Pair(engine(model="e/small-v2")),
    "engine env": Pair(engine(env={"HF_HUB_OFFLINE": "1"})),
    "tracing": Pair(top(tracing={})),
    "component at the end": Pair(added(2)),
    "component in the middle": Pair(added(1)),
    "component in the middle, places forgotten": Pair(added(1, keep=False)),
    "component in the middle, places forgotten, upgrade": Pair(added(1, keep=False), upgrade=NEW),
    "component removed": Pair(removed()),
    "component removed, places forgotten": Pair(removed(keep=False)),
    "component renamed": Pair(renamed()),
    "component renamed, places forgotten, upgrade": Pair(renamed(keep=False), upgrade=NEW),
    "components reordered": Pair(reordered()),
    "components reordered, places forgotten, upgrade": Pair(reordered(keep=False), upgrade=NEW),
    "remote component": Pair(remote()),
    "remote component with a key": Pair(remote(api_key_env="FAR_KEY")),
    "nothing": Pair(Step()),
}
OF_CLUSTER = {
    "tensor parallelism": Pair(engine(tensor_parallel_size=2)),
    "tensor parallelism, upgrade": Pair(engine(tensor_parallel_size=2), upgrade=NEW),
    "other GPUs": Pair(pods(accelerator="H100")),
    "other GPUs in a new group": Pair(engine(accelerator="H100", replica_group="small-h100")),
    "image": Pair(IMAGE),
    "image, upgrade": Pair(IMAGE, upgrade=NEW),
    "GPU budget": Pair(pods(gpus=8)),
    "GPU budget, upgrade": Pair(pods(gpus=8), upgrade=NEW),
    "memory": Pair(pods(memory="80Gi")),
    "memory, upgrade": Pair(pods(memory="80Gi"), upgrade=NEW),
    "node selector": Pair(pods(node_selector={"zone": "a"})),
    "toleration": Pair(TOLERATION),
    "toleration, upgrade": Pair(TOLERATION, upgrade=NEW),
    "scheduling gate, upgrade": Pair(
        of_pod(lambda pod: pod.update(schedulingGates=[{"name": "quota"}])), upgrade=NEW
    ),
    "idle timeout, upgrade": Pair(IDLE, upgrade=NEW),
    "variables in another order": Pair(ENV_ORDER),
    "variables in another order, upgrade": Pair(ENV_ORDER, upgrade=NEW),
    "ports in another order": Pair(of_container(lambda c: c["ports"].reverse())),
    "volumes in another order, upgrade": Pair(
        of_pod(lambda pod: pod["volumes"].reverse()), upgrade=NEW
    ),
    "groups in another order": Pair(
        patched(lambda m: m["spec"]["rayClusterConfig"]["workerGroupSpecs"].reverse())
    ),
    "a size in another unit": Pair(
        of_pod(lambda pod: pod["volumes"][0]["emptyDir"].update(sizeLimit="3072Mi"))
    ),
    "CPUs in another unit, upgrade": Pair(
        of_container(lambda c: c["resources"]["limits"].update(cpu="2000m")), upgrade=NEW
    ),
    "the server's defaults written down": Pair(
        of_group(lambda group: group.update(numOfHosts=1, priority=0, scaleStrategy={})),
        upgrade=NEW,
    ),
    "label of a group, upgrade": Pair(
        of_group(lambda g: g["labels"].update(tier="a")), upgrade=NEW
    ),
    "annotation of pods": Pair(
        of_group(lambda g: g["template"]["metadata"].update(annotations={"a": "b"}))
    ),
    "pods of a group at the least": Pair(of_group(lambda group: group.update(minReplicas=1))),
    "false and 0 where nothing means the same, upgrade": Pair(
        of_pod(lambda pod: pod.update(hostNetwork=False)), upgrade=NEW
    ),
    "the cluster is not suspended, in so many words": Pair(
        patched(lambda m: m["spec"]["rayClusterConfig"].update(suspend=False))
    ),
    "the cluster is suspended": Pair(
        patched(lambda m: m["spec"]["rayClusterConfig"].update(suspend=True))
    ),
    "a variable twice": Pair(
        of_container(lambda c: c["env"].append({"name": "DO_NOT_TRACK", "value": "0"}))
    ),
}
OF_SERVICE = {
    "time to start": Pair(setting(initializing_timeout="2h")),
    "name of the blend and so of the service": Pair(top(name="duo")),
    "name of the service": Pair(setting(name="duo")),
    "type of the Service": Pair(of_service(serveService={"spec": {"type": "NodePort"}})),
    "type of the Service, with an image, upgrade": Pair(
        Step(IMAGE.change, lambda m: m["spec"].update(serveService={"spec": {"type": "NodePort"}})),
        upgrade=NEW,
    ),
    "annotation of the Service": Pair(
        of_service(serveService={"metadata": {"annotations": {"lb": "internal"}}})
    ),
    "name of the Service": Pair(of_service(serveService={"metadata": {"name": "chat"}})),
    "labels of the Service": Pair(of_service(serveService={"metadata": {"labels": {"a": "b"}}})),
    "Kueue on a blend that runs": Pair(marked("labels", "kueue.x-k8s.io/queue-name", "blended")),
    "annotation of the RayService": Pair(marked("annotations", "team", "chat")),
    "annotation of the RayService, with a component": Pair(
        Step(added(2).change, lambda m: m["metadata"]["annotations"].update(team="chat"))
    ),
    "suspended": Pair(of_service(suspend=True)),
    "still suspended, with an image": Pair(IMAGE, (of_service(suspend=True),)),
    "suspended no longer, with an image": Pair(
        Step(IMAGE.change, lambda m: m["spec"].pop("suspend")), (of_service(suspend=True),)
    ),
    "not suspended, in so many words": Pair(of_service(suspend=False)),
    "head among the endpoints": Pair(of_service(excludeHeadPodFromServeSvc=False)),
    "time until the older cluster goes": Pair(of_service(rayClusterDeletionDelaySeconds=300)),
    "another strategy, nothing pending": Pair(upgrade(NEW)),
    "another strategy and an image": Pair(Step(IMAGE.change, upgrade=NEW)),
    "back to no strategy": Pair(upgrade("None"), upgrade=NEW),
}
# Each after an edit that KubeRay has ignored.
PENDING = {
    "image, then nothing": Pair(Step(), (IMAGE,)),
    "image, then weights": Pair(WEIGHTS, (IMAGE,)),
    "image, then a component at the end": Pair(added(2), (IMAGE,)),
    "image, then another strategy": Pair(upgrade(NEW), (IMAGE,)),
    "image, then another strategy and weights": Pair(Step(WEIGHTS.change, upgrade=NEW), (IMAGE,)),
    "image, then another image": Pair(setting(image="blended-gpu:3"), (IMAGE,)),
    "image, then back": Pair(setting(image="blended-gpu:1"), (IMAGE,)),
    "image, then memory": Pair(pods(memory="80Gi"), (IMAGE,)),
    "image, then the RayService's name": Pair(setting(name="duo"), (IMAGE,)),
    "image, then suspended": Pair(of_service(suspend=True), (IMAGE,)),
    "GPU budget, then more replicas": Pair(replicas(max=6), (pods(gpus=8),)),
    "GPU budget, then a component at the end": Pair(added(2), (pods(gpus=8),)),
    "GPU budget and image, then another strategy": Pair(upgrade(NEW), (pods(gpus=8), IMAGE)),
    "toleration, then another strategy": Pair(upgrade(NEW), (TOLERATION,)),
    "toleration, then a component at the end": Pair(added(2), (TOLERATION,)),
    "order of variables, then a component at the end": Pair(added(2), (ENV_ORDER,)),
    "component in the middle, then nothing": Pair(Step(), (added(1, keep=False),)),
    "idle timeout, then back and a component": Pair(
        Step(
            lambda b, s: (s.update(idle_timeout_s=300), added(2).change(b, s)),
        ),
        (IDLE,),
    ),
}
FILES = {"blend": OF_BLEND, "cluster": OF_CLUSTER, "service": OF_SERVICE, "pending": PENDING}
PAIRS = {name: pair for pairs in FILES.values() for name, pair in pairs.items()}
RECORDED = {
    name: said
    for file in FILES
    for name, said in yaml.safe_load(
        (Path(__file__).parent / "pairs" / f"{file}.yaml").read_text()
    ).items()
}


@pytest.mark.parametrize("name", PAIRS)
def test_an_edit_is_told_with_what_it_takes(name: str) -> None:
    """Every sentence is the recorded one, in its order, and there is no other."""
    assert sentences(PAIRS[name].edit()) == RECORDED[name]


def test_every_recorded_pair_is_one() -> None:
    """Nothing is recorded that no test looks at."""
    assert RECORDED.keys() == PAIRS.keys()


@pytest.mark.parametrize("name", [name for name, pair in PAIRS.items() if not pair.earlier])
def test_without_an_ignored_edit_the_live_cluster_tells_no_more(name: str) -> None:
    """Where the cluster is as the last manifest says, that is all that there is to know."""
    unknown = sentences(PAIRS[name].edit(known=False))

    if PAIRS[name].step.upgrade == NEW:
        assert unknown[0].endswith("--live tells.")
        assert unknown[1:] == RECORDED[name][1:]
    else:
        assert unknown == RECORDED[name]


def test_a_second_cluster_is_never_started_by_default() -> None:
    """Only another upgrade strategy starts one, or another name of the RayService."""
    told = {name: " ".join(sentences(pair.edit())) for name, pair in PAIRS.items()}
    kept = {name for name, pair in PAIRS.items() if pair.step.upgrade is None and not pair.earlier}
    strategies = {name: PAIRS[name].upgrade for name in kept}

    second = {name for name in kept if "A SECOND CLUSTER" in told[name]}
    assert {strategies[name] for name in second} == {NEW}
    assert {name for name, text in told.items() if "ANOTHER RayService" in text} == {
        "name of the blend and so of the service",
        "name of the service",
        "image, then the RayService's name",
    }
