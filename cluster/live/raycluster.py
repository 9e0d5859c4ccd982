"""The running RayCluster, as `kubectl get raycluster -o yaml` prints it."""

from pathlib import Path

from blended.errors import ConfigError
from cluster.manifests import Document, at, load_file, of_kind

_OWNER = "ray.io/originated-from-cr-name"


def load(path: Path, rayservice: str) -> Document:
    """The RayCluster of a RayService in a file, which may also hold other RayClusters.

    Raises:
        ConfigError: the file has no RayCluster of this RayService, or several.
    """
    clusters = of_kind(load_file(path), "RayCluster")
    owned = [c for c in clusters if at(c, "metadata", "labels").get(_OWNER) == rayservice]
    if len(owned) == 1:
        return owned[0]
    if owned:
        names = ", ".join(_name(cluster) for cluster in owned)
        raise ConfigError(
            f"'{path}' holds {len(owned)} RayClusters of '{rayservice}' ({names}): one takes over "
            "from the other. Wait for its end, or give the one of status.pendingServiceStatus, "
            "which KubeRay compares with meanwhile."
        )
    names = ", ".join(_name(cluster) for cluster in clusters) or "none"
    raise ConfigError(
        f"'{path}' holds no RayCluster of the RayService '{rayservice}' (there are: {names}); "
        "write it by `kubectl get raycluster -o yaml`."
    )


def _name(document: Document) -> str:
    return str(at(document, "metadata").get("name"))
