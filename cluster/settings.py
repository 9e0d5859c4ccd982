"""The settings of a blend's cluster that its file does not have: image, pods, GPU budgets.

Everything has a default. Frozen pydantic models that refuse unknown keys, like a blend's own.
"""

from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from blended.config import Frozen, Identifier, Seconds
from blended.config.engine_names import AcceleratorName
from blended.config.loading import decoded, parse_as
from blended.errors import ConfigError
from cluster.manifests import quantity

# The claim in k8s/model-cache.
MODEL_CACHE = "blended-models"
Build = Literal["gpu", "cpu"]
# The images, by the build of vLLM in them.
DEFAULT_IMAGES: dict[Build, str] = {"gpu": "blended-gpu", "cpu": "blended-cpu"}

# The labels that NVIDIA's feature discovery gives to nodes, by Ray's names of accelerators.
_PRODUCTS = {
    "T4": "Tesla-T4",
    "A10G": "NVIDIA-A10G",
    "L4": "NVIDIA-L4",
    "L40S": "NVIDIA-L40S",
    "A100-40G": "NVIDIA-A100-SXM4-40GB",
    "A100-80G": "NVIDIA-A100-SXM4-80GB",
    "H100": "NVIDIA-H100-80GB-HBM3",
    "H200": "NVIDIA-H200",
    "B200": "NVIDIA-B200",
}
PRODUCT_LABEL = "nvidia.com/gpu.product"
_GIB = 2**30


def _is_quantity(text: str) -> str:
    quantity(text)
    return text


Quantity = Annotated[str, AfterValidator(_is_quantity)]


class Toleration(Frozen):
    """A taint that pods may ignore, as Kubernetes writes it."""

    key: str
    operator: str = "Exists"
    value: str | None = None
    effect: str | None = None


class Pods(Frozen):
    """One kind of pod: its limits, which are also its requests unless `requests` has less.

    A value of None is computed from the blend.
    """

    cpu: Quantity | None = None
    memory: Quantity | None = None
    shared_memory: Quantity | None = None
    ephemeral_storage: Quantity | None = None
    requests: Mapping[str, Quantity] = {}
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


class WorkerPods(Pods):
    """Pods that hold replicas, and up to `spare` pods more than all replicas fill.

    A draining pod counts until it has ended, so a group without a spare pod cannot replace it. The
    default is one spare pod without GPUs, and none with GPUs.
    """

    spare: Annotated[int, Field(ge=0, le=1000)] | None = None


class ComponentPods(WorkerPods):
    """The pods of one component, or of a replica group whose components share GPUs.

    `gpus` is the budget for all replicas and spare pods; `accelerator` puts them on another type of
    GPU than the blend's file names.
    """

    gpus: Annotated[int, Field(ge=1)] | None = None
    accelerator: AcceleratorName | None = None


class Accelerator(Frozen):
    """The nodes with a type of GPU, and the taints on them that its pods tolerate."""

    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...] = (Toleration(key="nvidia.com/gpu"),)


class Settings(Frozen):
    """The cluster of one blend.

    `components` has pods by component id, and `groups` those of replica groups whose components
    share GPUs. `image` is that of all pods; where a blend has engines on GPUs and on CPUs, those on
    CPUs take `cpu_image`, because vLLM is built for one or the other.

    `initializing_timeout` is the time that KubeRay allows for the first start, with the pulling of
    images and the loading of weights, before it gives up for good. `idle_timeout_s` is the time for
    which a pod without a replica is kept. `model_cache` is the name of a volume claim to mount.
    """

    name: Identifier | None = None
    image: str | None = None
    cpu_image: str | None = None
    head: Pods = Pods(cpu="2", memory="8Gi")
    router: WorkerPods = WorkerPods()
    components: Mapping[str, ComponentPods] = {}
    groups: Mapping[str, ComponentPods] = {}
    accelerators: Mapping[AcceleratorName, Accelerator] = {}
    model_cache: str | None = MODEL_CACHE
    initializing_timeout: str = "90m"
    idle_timeout_s: Seconds = 300

    def accelerator(self, name: str) -> Accelerator:
        """The nodes of a type of GPU.

        Raises:
            ConfigError: the type is unknown, and not in the settings.
        """
        if name in self.accelerators:
            return self.accelerators[name]
        if name not in _PRODUCTS:
            raise ConfigError(
                f"Nothing says which nodes have the accelerator '{name}'; write it in the "
                f"settings, as accelerators: {{{name}: {{node_selector: {{label: value}}}}}}."
            )
        return Accelerator(node_selector={PRODUCT_LABEL: _PRODUCTS[name]})


def load(path: Path | None) -> Settings:
    """Read settings; without a file, return the defaults.

    Raises:
        ConfigError: the file has mistakes (all are named), or cannot be read.
    """
    if path is None:
        return Settings()
    try:
        return parse_as(Settings, decoded(path.read_bytes(), str(path)), str(path))
    except OSError as exc:
        raise ConfigError(f"The settings '{path}' cannot be read: {exc}") from exc


def images(settings: Settings, builds: Collection[Build]) -> dict[Build, str]:
    """The image with each build of vLLM; `builds` are those that the blend's engines need.

    They are those with this version of the package, unless the settings name others.

    Raises:
        ConfigError: the engines need both, and the settings name only one.
    """
    mixed = len(set(builds)) > 1
    if mixed and (settings.image is None) != (settings.cpu_image is None):
        raise ConfigError(
            "The blend has engines on GPUs and on CPUs, which need two builds of vLLM, and the "
            f"settings name one image, '{settings.image or settings.cpu_image}'; write both, as "
            "image (GPUs) and cpu_image, or neither."
        )
    named = {"gpu": settings.image, "cpu": settings.cpu_image or settings.image}
    return {
        build: named[build] or f"{name}:{version('blended')}"
        for build, name in DEFAULT_IMAGES.items()
    }


def weights_memory(parameters: float | None) -> str:
    """Memory in which a model's weights are loaded on their way to a GPU, in bfloat16.

    Weights take two bytes per parameter; 24 GiB more are an allowance for the engine's processes,
    which is not measured.
    """
    if parameters is None:
        return "64Gi"
    gib = 24 + 2 * parameters / _GIB
    return f"{8 * -(-gib // 8):.0f}Gi"
