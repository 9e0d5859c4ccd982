"""Mistakes in a Serve config: those that Ray's own schema refuses, and those that it accepts
silently.

Ray drops unknown keys (`num_gpu`), keeps the last of two equal names, and configures deployments
that no builder makes. The known keys are read from Ray's models at run time.
"""

import difflib
import inspect
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from ray.serve.schema import ServeDeploySchema

from blended import app as builders
from blended.config.loading import problems as in_our_words
from blended.config.shown_values import shown
from blended.errors import Problem, field_path
from cluster.manifests import Document

_PACKAGE = "blended.app:"
Model = type[BaseModel]


def problems(serve_config: Document) -> list[Problem]:
    """Every mistake in a Serve config; paths begin at its top (`applications[0].name`)."""
    if malformed := _malformed(serve_config):
        return malformed
    applications = serve_config.get("applications") or []
    found = [
        *_unknown_keys(serve_config, ServeDeploySchema, ""),
        *by_ray(serve_config),
        *_overlapping([str(a.get("route_prefix", "/")) for a in applications]),
    ]
    for i, application in enumerate(applications):
        found += _application(application, f"applications[{i}]")
    return found


def by_ray(serve_config: Document) -> list[Problem]:
    """The mistakes that Ray's own schema refuses; without them, all types are right."""
    return _malformed(serve_config) or list(_by_ray(serve_config, ServeDeploySchema, ""))


def deployment_names(application: Document) -> tuple[str, ...] | None:
    """The deployments that an application's builder makes; None if the builder is not ours."""
    builder = str(application.get("import_path", "")).removeprefix(_PACKAGE)
    component = (application.get("args") or {}).get("id")
    names = {
        "build_router": ("Router",),
        "build_simulated": ("Simulated",),
        "build_reward": ("RewardModel",),
        "build_vllm": (f"LLMServer:{component}", "LLMRouter"),
    }
    return names.get(builder)


def _malformed(serve_config: Document) -> list[Problem]:
    """Mistakes on which Ray's schema would raise instead of reporting them."""
    applications = serve_config.get("applications") or []
    if found := list(_no_mappings(applications, "applications")):
        return found
    for i, application in enumerate(applications):
        path = f"applications[{i}]"
        found += _no_mappings(application.get("deployments") or [], f"{path}.deployments")
        if not isinstance(arguments := application.get("args") or {}, dict):
            found.append(Problem(f"{path}.args", f"{shown(arguments)} is no mapping; write one"))
    return found


def _no_mappings(items: Any, path: str) -> Iterator[Problem]:
    if not isinstance(items, list):
        yield Problem(path, f"{shown(items)} is no list; write one")
        return
    for i, item in enumerate(items):
        if not isinstance(item, dict):
            yield Problem(
                f"{path}[{i}]", f"{shown(item)} is no mapping; write its name as 'name: …'"
            )


def _application(application: Document, path: str) -> Iterator[Problem]:
    deployments = application.get("deployments") or []
    names = [str(deployment.get("name")) for deployment in deployments]
    built = deployment_names(application)
    yield from _twice(names, f"{path}.deployments[{{}}].name")
    if built is None:
        yield from _foreign(str(application.get("import_path", "")), f"{path}.import_path")
        return
    for i, name in enumerate(names):
        if name not in built:
            message = f"the application has no deployment '{name}'; {_closest(name, built)}"
            yield Problem(f"{path}.deployments[{i}].name", message)
    yield from _arguments(application, f"{path}.args")


def _foreign(import_path: str, path: str) -> Iterator[Problem]:
    name = import_path.removeprefix(_PACKAGE)
    if name != import_path:
        known = [n for n in builders.__all__ if n.startswith("build_")]
        yield Problem(path, f"blended.app has no builder '{name}'; {_closest(name, known)}")


def _arguments(application: Document, path: str) -> Iterator[Problem]:
    """The mistakes that the builder on the cluster would refuse."""
    builder = getattr(builders, str(application["import_path"]).removeprefix(_PACKAGE))
    model: Model = inspect.signature(builder).parameters["args"].annotation
    try:
        model.model_validate(application.get("args") or {})
    except ValidationError as exc:
        yield from (Problem(f"{path}.{p.path}".rstrip("."), p.message) for p in in_our_words(exc))


def _unknown_keys(value: Any, annotation: Any, path: str) -> Iterator[Problem]:
    """Keys without a field, in every mapping for which Ray has a model."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _unknown_keys(item, annotation, f"{path}[{i}]")
    models = list(_models(annotation))
    if not isinstance(value, dict) or not models:
        return
    fields = models[0].model_fields
    for key, item in value.items():
        where = field_path([str(key)], path)
        if key in fields:
            yield from _unknown_keys(item, fields[key].annotation, where)
        else:
            yield Problem(where, f"Ray does not know the key '{key}'; {_closest(str(key), fields)}")


def _by_ray(value: Document, model: Model, path: str) -> Iterator[Problem]:
    """The complaints of Ray's validation, also on parts that its schema takes as mappings."""
    try:
        model.model_validate(value)
    except ValidationError as exc:
        for error in exc.errors(include_url=False):
            if error["type"] != "extra_forbidden":
                message = error["msg"].removeprefix("Value error, ")
                yield Problem(field_path(error["loc"], path), f"{message[:1].lower()}{message[1:]}")
    for where, part, of in _plain(value, model, path):
        yield from _by_ray(part, of, where)


def _plain(value: Any, annotation: Any, path: str) -> Iterator[tuple[str, Document, Model]]:
    """The parts that Ray's schema takes as plain mappings although Ray has a model for them."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from _plain(item, annotation, f"{path}[{i}]")
    models = list(_models(annotation))
    if not isinstance(value, dict) or not models:
        return
    fields = models[0].model_fields
    for key in sorted(value.keys() & fields.keys()):
        where, inner = field_path([str(key)], path), fields[key].annotation
        if isinstance(value[key], dict) and (found := list(_models(inner))) and _loose(inner):
            yield where, value[key], found[0]
        else:
            yield from _plain(value[key], inner, where)


def _models(annotation: Any) -> Iterator[Model]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _loose(annotation: Any) -> bool:
    return any(a is dict or get_origin(a) is dict for a in get_args(annotation))


def _twice(names: Iterable[str], path: str) -> Iterator[Problem]:
    listed = list(names)
    for i, name in enumerate(listed):
        if Counter(listed)[name] > 1:
            yield Problem(path.format(i), f"'{name}' stands here twice; give each its own name")


def _overlapping(prefixes: list[str]) -> Iterator[Problem]:
    """Other prefixes may lie below `/`; any other prefix belongs to one application."""
    for i, prefix in enumerate(prefixes):
        for other in prefixes:
            if other != "/" and prefix.startswith(f"{other}/"):
                message = f"'{prefix}' lies below another application's '{other}'; move one of them"
                yield Problem(f"applications[{i}].route_prefix", message)


def _closest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else "remove it"
