"""The nodes of a rehearsal, like KubeRay's pods: a terminating one counts until it is gone.

The autoscaler loads the provider by its name, in a process of its own.
"""

from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.tags import TAG_RAY_USER_NODE_TYPE


class FakePods(FakeMultiNodeProvider):
    """Makes a node when its group has room, by `budgets` of the provider's config."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self._budgets: dict[str, int] = provider_config["budgets"]
        self._waiting: list[tuple[Any, ...]] = []

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: Any, count: int, resources: Any, labels: Any
    ) -> None:
        """Ask for nodes of one group; nodes beyond its budget wait."""
        with self.lock:
            self._waiting += [(node_config, tags, 1, resources, labels)] * count
            self._make()

    def non_terminated_nodes(self, tag_filters: Any) -> Any:
        """The existing nodes; the autoscaler polls them."""
        with self.lock:
            self._make()
            return super().non_terminated_nodes(tag_filters)  # type: ignore[no-untyped-call]

    def _make(self) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted in waiting:
            if self._has_room(wanted[1][TAG_RAY_USER_NODE_TYPE]):
                super().create_node_with_resources_and_labels(*wanted)  # type: ignore[no-untyped-call]
            else:
                self._waiting.append(wanted)

    def _has_room(self, group: str) -> bool:
        of_group = [n for n in self._nodes.values() if n["tags"][TAG_RAY_USER_NODE_TYPE] == group]
        return sum(_lives(node) for node in of_group) < self._budgets[group]


def _lives(node: dict[str, Any]) -> bool:
    ended = [kind for kind, _ in node["node"].dead_processes()]
    return "raylet" not in ended
