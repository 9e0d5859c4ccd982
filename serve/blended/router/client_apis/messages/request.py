"""A request of the Messages API in the words of chat. Pure functions."""

from typing import Any

from blended.router import values
from blended.router.client_apis import checks
from blended.router.client_apis.client_api import Translated
from blended.router.client_apis.messages.fields import MESSAGES_FIELDS
from blended.router.client_apis.messages.history import history
from blended.router.refusal import refuse
from blended.router.requests import Payload

Json = dict[str, Any]

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_THINKING = ("enabled", "adaptive", "between_tools", "disabled")
_BUDGET = values.whole(1)
# From how many tokens of thinking on an effort is the nearest.
_EFFORTS = ((4096, "high"), (2048, "medium"), (0, "low"))


def chat(payload: Payload) -> Translated:
    """The request of the Messages API as a chat.

    A history that ends with the assistant's text is one to go on with, as in the Messages API.

    Raises:
        ApiError: 400, naming the field, its value and the right values.
    """
    checks.check(payload, MESSAGES_FIELDS)
    messages, places = history(payload.get("messages"), payload.get("system"))
    translated = checks.kept(payload, MESSAGES_FIELDS) | {"messages": messages}
    translated |= _tools(payload) | _effort(payload) | _format(payload)
    if payload.get("stop_sequences"):
        translated["stop"] = payload["stop_sequences"]
    if payload.get("stream"):
        translated["stream_options"] = {"include_usage": True}
    last = messages[-1]
    if last["role"] == "assistant" and last["content"] and "tool_calls" not in last:
        translated |= {"continue_final_message": True, "add_generation_prompt": False}
    return Translated(translated, places)


def _tools(payload: Payload) -> Json:
    tools = [_tool(*found) for found in checks.items("tools", payload.get("tools") or [])]
    choice = payload.get("tool_choice")
    if not tools or choice is None:
        return {"tools": tools or None, "tool_choice": None}
    parallel = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    return {"tools": tools, "tool_choice": _choice(choice), **parallel}


def _tool(path: str, tool: Json) -> Json:
    if tool.get("type") not in (None, "custom"):
        remedy = "leave it out, and give an 'input_schema': hosted tools do not run here"
        refuse(f"{path}.type", tool["type"], remedy)
    function: Json = {"name": checks.text(f"{path}.name", tool.get("name"))}
    function |= {n: tool[n] for n in ("description", "strict") if tool.get(n) is not None}
    schema = checks.item(f"{path}.input_schema", tool.get("input_schema"))
    return {"type": "function", "function": function | {"parameters": schema}}


def _choice(choice: Json) -> Any:
    kind = choice.get("type")
    if kind == "tool":
        name = checks.text("tool_choice.name", choice.get("name"))
        return {"type": "function", "function": {"name": name}}
    if not isinstance(kind, str) or kind not in _CHOICES:
        refuse("tool_choice.type", kind, f"give one of {', '.join(_CHOICES)}, tool")
    return _CHOICES[kind]


def _effort(payload: Payload) -> Json:
    """How long the model thinks; a budget of tokens becomes the nearest effort."""
    effort = (payload.get("output_config") or {}).get("effort")
    thinking: Json = payload.get("thinking") or {"type": "adaptive"}
    kind: Any = thinking.get("type")
    budget: Any = thinking.get("budget_tokens")
    if kind not in _THINKING:
        refuse("thinking.type", kind, f"give one of {', '.join(_THINKING)}")
    if kind == "disabled":
        return {"reasoning_effort": "none"}
    if kind == "enabled":
        if not _BUDGET.holds(budget):
            refuse("thinking.budget_tokens", budget, f"give {_BUDGET.words}")
        effort = effort or next(name for least, name in _EFFORTS if budget >= least)
    return {"reasoning_effort": effort}


def _format(payload: Payload) -> Json:
    config = payload.get("output_config") or {}
    checks.only("output_config", config, ("effort", "format"))
    form = config.get("format") or payload.get("output_format")
    if form is None:
        return {}
    kind = checks.item("output_config.format", form).get("type")
    if kind != "json_schema":
        refuse("output_config.format.type", kind, 'give "json_schema"')
    schema = checks.item("output_config.format.schema", form.get("schema"))
    named = {"name": "output", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
