"""What the files of a blend's models say about it, as far as they are on this machine."""

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError

from blended.config.blend import BlendConfig
from blended.config.components import Engine, VllmComponent
from blended.config.inconsistency import Path as Steps
from blended.config.model_files import RELATIVE, folder, shape


def problems(blend: BlendConfig) -> Iterator[tuple[Steps, str]]:
    """Folders and files that are not there, and GPUs that cannot share a model's heads.

    An absolute path may be one of another machine: where it is missing here, nothing is said.
    """
    for index, component in enumerate(blend.components):
        if isinstance(component, VllmComponent):
            yield from _of_engine(("components", index, "engine"), component.engine)


def notes(blend: BlendConfig) -> Iterator[str]:
    """The absolute paths that are not on this machine, in words."""
    for component in blend.components:
        model = component.engine.model if isinstance(component, VllmComponent) else ""
        if model.startswith("/") and not Path(model).is_dir():
            yield (
                f"the model '{model}' of component '{component.id}' is not on this machine; every "
                "node that holds the component needs it at this path."
            )


def _of_engine(path: Steps, engine: Engine) -> Iterator[tuple[Steps, str]]:
    for field in ("model", "tokenizer", "chat_template"):
        given = getattr(engine, field)
        if given is not None and _is_missing(given, is_path=_is_path(field, given)):
            yield (
                (*path, field),
                f"'{given}' is not on this machine, seen from '{Path.cwd()}'; correct the path",
            )
    if mistake := _template_mistake(engine.chat_template or ""):
        yield (*path, "chat_template"), f"the template is no Jinja: {mistake}; correct it"
    found = folder(engine.model)
    if found is None or not found.is_dir():
        return
    if not (found / "config.json").is_file():
        message = f"'{engine.model}' holds no model (no config.json); give the folder of one"
        yield (*path, "model"), message
        return
    heads = shape(found).get("num_attention_heads")
    size = engine.tensor_parallel_size
    if isinstance(heads, int) and heads % size:
        message = (
            f"the {heads} attention heads of '{engine.model}' cannot be shared by {size} GPUs; "
            f"write one of {', '.join(str(n) for n in range(1, heads + 1) if heads % n == 0)}"
        )
        yield (*path, "tensor_parallel_size"), message


def _template_mistake(given: str) -> str | None:
    """The first mistake in a chat template, or in a file of one that is on this machine."""
    file = Path(given) if _is_path("chat_template", given) else None
    try:
        text = given if file is None else file.read_text("utf-8")
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)
    except TemplateSyntaxError as exc:
        # Templates of chat models have tags of their own, such as `generation`.
        is_tag = "unknown tag" in str(exc.message)
        return None if is_tag else f"{exc.message} in line {exc.lineno} of the template"
    except (OSError, ValueError):
        return None
    return None


def _is_path(field: str, given: str) -> bool:
    """Whether it names a relative path; to vLLM a template does unless it has Jinja's marks.

    A template's bare name may be one that vLLM ships.
    """
    if set(given) & set("{}\n"):
        return False
    in_folder = field == "chat_template" and "/" in given and not given.startswith("/")
    return in_folder or given.startswith(RELATIVE)


def _is_missing(given: str, is_path: bool) -> bool:
    return is_path and not Path(given).expanduser().exists()
