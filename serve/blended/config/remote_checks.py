"""Checks between the fields of a remote component, on the raw data."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from blended.config.inconsistency import Inconsistency, Path, error

# What the router adds to an address; the longest first.
_ENDPOINTS = ("/chat/completions", "/completions", "/messages", "/models", "/responses")


def of_component(index: int, component: Mapping[str, Any]) -> Iterator[Inconsistency]:
    """The mistakes of the component at `index`; none for a component of another kind."""
    if component.get("kind") == "remote":
        yield from _address(index, component.get("base_url"))
        yield from _stops(index, component)


def _address(index: int, url: Any) -> Iterator[Inconsistency]:
    """Mistakes in the address; no message repeats a password in it."""
    if not isinstance(url, str):
        return
    path: Path = ("components", index, "base_url")
    if "@" in url.partition("://")[2].partition("/")[0]:
        message = (
            "there is a user or a password in the address; leave it out, and name a variable of "
            "the router's environment that holds the key under api_key_env"
        )
        yield path, "", error(message)
    if not _has_port(url):
        message = "what stands behind the host's colon is no port; write a number up to 65535"
        yield path, "", error(message)
    for endpoint in _ENDPOINTS:
        if url.rstrip("/").endswith(endpoint):
            message = f"the router adds {endpoint} itself; end the address before it, as in …/v1"
            yield path, "", error(message)
            return


def _has_port(url: str) -> bool:
    """Whether the port in an address is a number, or there is none."""
    try:
        urlsplit(url).port  # noqa: B018 - it is read for its error
    except ValueError:
        return False
    return True


def _stops(index: int, component: Mapping[str, Any]) -> Iterator[Inconsistency]:
    sampling = component.get("sampling")
    is_limited = component.get("dialect") != "vllm"
    if is_limited and isinstance(sampling, Mapping) and (stops := sampling.get("stop")):
        message = (
            "a remote API takes four texts that end a response, and a client may send as many; "
            "leave them out, or write dialect: vllm if it takes more"
        )
        yield ("components", index, "sampling", "stop"), stops, error(message)
