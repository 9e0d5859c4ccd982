"""What a router replica serves: a blend's configuration with addresses and keys filled in."""

from collections.abc import Mapping
from dataclasses import dataclass

from blended.config import AnyComponent, BlendConfig, RemoteComponent, Sampling, Timeouts
from blended.errors import ConfigError
from blended.router.selection import SelectionDistribution, normalise

# vLLM itself reads this variable and then refuses requests without the key.
INTERNAL_KEY_ENV = "VLLM_API_KEY"
CLIENT_KEY_ENV = "BLENDED_API_KEY"


@dataclass(frozen=True)
class Upstream:
    """Where and how one component is asked: an OpenAI-compatible API, whatever is behind it."""

    id: str
    kind: str
    description: str
    base_url: str
    model: str
    key: str | None
    sampling: Sampling
    timeouts: Timeouts


@dataclass(frozen=True)
class Blend:
    """Everything that the router needs to answer, swapped as a whole when the config changes."""

    config: BlendConfig
    upstreams: Mapping[str, Upstream]
    distribution: SelectionDistribution


def resolve(config: BlendConfig, components_url: str, environ: Mapping[str, str]) -> Blend:
    """Fill in addresses and keys; `components_url` is where Serve answers, without a path.

    Raises:
        ConfigError: a component's key is not in the environment.
    """
    upstreams = {c.id: _upstream(c, components_url, environ) for c in config.components}
    return Blend(config, upstreams, normalise(config.weights))


def _upstream(component: AnyComponent, components_url: str, environ: Mapping[str, str]) -> Upstream:
    if isinstance(component, RemoteComponent):
        base_url, model = component.base_url.rstrip("/"), component.model
        variable = component.api_key_env
    else:
        base_url, model = f"{components_url}/components/{component.id}/v1", component.id
        variable = INTERNAL_KEY_ENV
    key = environ.get(variable) if variable else None
    if variable and not key:
        raise ConfigError(
            f"Component '{component.id}' needs its key in the environment variable {variable} "
            "of the router, which is not set; set it on the nodes before Ray starts."
        )
    return Upstream(
        id=component.id,
        kind=component.kind,
        description=component.description,
        base_url=base_url,
        model=model,
        key=key,
        sampling=component.sampling,
        timeouts=component.timeouts,
    )
