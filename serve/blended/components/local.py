"""A vLLM component as a Ray Serve application, described without vLLM; only the build loads Ray."""

import gc
import os
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict
from starlette.types import ASGIApp

from blended import demo
from blended.components.internal_key import Guard
from blended.components.placement import bundle_selectors, replica_options, worker_bundles
from blended.components.start_order import alone, lock_file
from blended.config import Engine, Tracing, gpu_shares
from blended.errors import ConfigError
from blended.internal import INTERNAL_KEY_ENV
from blended.tracing import ENDPOINT_ENV, environment

if TYPE_CHECKING:
    from ray.serve import Application

# Engines log to a file; where Serve redirects output, vLLM takes the file for a terminal.
# vLLM would pin the threads of all replicas to the same cores; its first request would import a
# compiler that eager mode never uses. oneDNN would cache its kernels for a thousand batch sizes,
# which take most of a GiB; with fewer of them a tiny model is as fast.
_CPU_ENV = {
    "VLLM_LOGGING_COLOR": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
}

# A vision engine would fetch any address in a request, also from inside the cluster. Images in
# `data:` addresses need no domain; vLLM takes an empty list for all domains.
_NO_DOMAIN = "set-allowed_media_domains.invalid"

_ON_DISK = "blended.components.skip_download.ModelOnDisk"
_GUARD = "blended.components.local.EngineGuard"


class EngineGuard(Guard):
    """The guard as vLLM creates it; vLLM itself checks the key only under /v1."""

    def __init__(self, app: ASGIApp) -> None:
        from ray import serve

        replica = serve.get_replica_context().replica_tag
        super().__init__(app, os.environ[INTERNAL_KEY_ENV], replica)


class EngineReplica:
    """One replica of a component: Ray's LLMServer, loaded only here.

    Ray's own builder also loads vLLM, in another process, only to describe the application.
    """

    async def __init__(  # type: ignore[misc]
        self, arguments: Mapping[str, Any], shares_gpu: bool = False
    ) -> None:
        # Imports make a third of a million objects that stay: do not search them for garbage.
        gc.disable()
        try:
            from blended.components.engine import server
        finally:
            gc.enable()
        self._server: Any = server(arguments)
        async with alone(lock_file()) if shares_gpu else nullcontext():
            await self._server.start()

    async def __serve_build_asgi_app__(self) -> ASGIApp:
        """Ray Serve's hook for an application that is made when the replica starts."""
        app: ASGIApp = await self._server.__serve_build_asgi_app__()
        return app

    async def check_health(self) -> None:
        """Ray Serve's hook; raises the engine's error."""
        await self._server.check_health()


class VllmArgs(BaseModel):
    """The arguments of one component's application: a change of them restarts the engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    engine: Engine
    tracing: Tracing | None = None


def build_vllm(args: VllmArgs) -> "Application":
    """Build the application of one component, for a Serve config's `import_path`.

    Raises:
        ConfigError: the model's folder does not exist, or the node lacks the internal key.
    """
    if not os.environ.get(INTERNAL_KEY_ENV):
        raise ConfigError(
            f"Component '{args.id}': the environment variable {INTERNAL_KEY_ENV} is not set on "
            "this node, so that the component would answer anybody. Set it before Ray starts."
        )
    arguments = llm_config(args.id, args.engine, args.tracing)
    from ray import serve

    from blended.components.replica_picker import picked

    deployment = serve.deployment(
        name=f"LLMServer:{args.id}",
        ray_actor_options={"runtime_env": arguments["runtime_env"]},
        **(arguments["deployment_config"] | replica_options(args.engine)),
    )
    replica = deployment(serve.ingress()(EngineReplica))
    return picked(replica.bind(arguments, args.engine.gpu_fraction is not None))


def llm_config(component: str, engine: Engine, tracing: Tracing | None = None) -> dict[str, Any]:
    """The arguments of Ray's LLMConfig for one component.

    Raises:
        ConfigError: the model is a path that does not exist.
    """
    cpu = engine.accelerator == "cpu"
    folder = _folder(component, engine.model)
    return {
        "model_loading_config": {
            "model_id": component,
            "model_source": str(folder or engine.model),
        },
        "engine_kwargs": _engine_kwargs(engine, tracing),
        "placement_group_config": {
            "bundles": worker_bundles(engine),
            "strategy": "STRICT_PACK",
        },
        "deployment_config": {
            "request_router_config": {
                "request_router_class": (
                    "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
                ),
                "request_router_kwargs": {"num_fallback_replicas": 1},
            },
            **bundle_selectors(engine),
        },
        "runtime_env": {
            "env_vars": {
                **(_CPU_ENV if cpu else {}),
                **_share(engine),
                **environment(f"blended-{component}", tracing),
                **engine.env,
            }
        },
        **({"callback_config": {"callback_class": _ON_DISK}} if folder else {}),
        **(
            {"accelerator_config": {"kind": "cpu"}}
            if cpu
            else {"accelerator_type": engine.accelerator}
        ),
    }


def _share(engine: Engine) -> dict[str, str]:
    """vLLM's worker is an actor in the replica's bundle, and would ask for a whole GPU."""
    fraction = engine.gpu_fraction
    return {} if fraction is None else {"VLLM_RAY_PER_WORKER_GPUS": str(fraction)}


def _engine_kwargs(engine: Engine, tracing: Tracing | None) -> dict[str, Any]:
    given: dict[str, Any] = {
        "tokenizer": engine.tokenizer,
        "max_model_len": engine.max_model_len,
        "tensor_parallel_size": engine.tensor_parallel_size,
        "chat_template": engine.chat_template,
    }
    if engine.gpu_fraction is not None:
        given["gpu_memory_utilization"] = gpu_shares.utilization(engine.gpu_fraction)
    kwargs = {name: value for name, value in given.items() if value is not None}
    # Usage then reports the cached tokens of a prompt.
    kwargs["enable_prompt_tokens_details"] = True
    kwargs["allowed_media_domains"] = [_NO_DOMAIN]
    if tracing is not None and (collector := os.environ.get(ENDPOINT_ENV)):
        kwargs["otlp_traces_endpoint"] = f"{collector.rstrip('/')}/v1/traces"
    middleware = [*engine.args.get("middleware", ()), _GUARD]
    return kwargs | dict(engine.args) | {"middleware": middleware}


def _folder(component: str, model: str) -> Path | None:
    """The model's folder; None for a Hugging Face id, which vLLM looks up itself."""
    if model.startswith("demo:"):
        return demo.model_path(model.removeprefix("demo:"))
    if not model.startswith(("/", ".", "~")):
        return None
    path = Path(model).expanduser()
    if not (path / "config.json").is_file():
        raise ConfigError(
            f"Component '{component}': there is no model in '{path}' (no config.json); give "
            "the folder of a model on every node of its replica group."
        )
    return path
