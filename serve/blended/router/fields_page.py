"""The page on endpoints and fields, from their tables: python -m blended.router.fields_page

Writes docs/api.md; with `--check` it only says whether the page is up to date.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from blended import generated_page
from blended.router.client_apis.messages.fields import MESSAGES_FIELDS
from blended.router.client_apis.responses.fields import RESPONSES_FIELDS
from blended.router.endpoints import ENDPOINTS, Endpoint
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS, Field, Handling

PAGE = Path("docs/api.md")
_HEAD = """# Endpoints and fields

This page is made from the tables that the router checks requests by, with `python -m
blended.router.fields_page`.

{endpoints}

The base URL of OpenAI's clients ends in `/v1`; Anthropic's clients and `blended chat --url` add it
themselves. A key goes in any of the headers `Authorization: Bearer KEY`
(OpenAI's clients), `x-api-key: KEY` (Anthropic's) and `api-key: KEY` (Azure's); a request that
carries two different keys is refused with 401. Bodies are JSON without a `Content-Encoding`.
Streams are chunked as HTTP/1.1 has it, also for a request of HTTP/1.0, which is how nginx asks by
default: it reads them as they come. All other answers have their length.

In the entries of models `created` is when the router took the blend, and `max_model_len` the
context in tokens; that of the blend is the smallest of the components that may be drawn, and is
left out if one of these is unknown.

A field is **passed** to the component as it is, **moved** from the values below into the range that
the component has under `sampling`, **read** by the router and not passed, **dropped** because
leaving it out breaks no promise, or **refused** with 400 and its name, as every field is that is
not on this page. Values other than those below are refused as well; null is as good as nothing,
and 4.0 is the whole number 4.

An operator opens more: what a component lists under `passthrough`, for example `[ignore_eos]`,
reaches it as it is, be it read, dropped, refused or unknown here. A client may send a field that
is refused here if every component that may be drawn lists it. Only `cache_salt` stays the router's
own.

A message may have any field, and reaches the component with it; how many messages and content
parts there may be is under `api` in [configuration.md](configuration.md).

**Responses and Messages** are translated into chats and back: draw, history, journal and feedback
are the same for all, and a conversation may go on from one to the other. Nothing is stored: a
request carries its whole conversation. Tools are functions that the client runs; hosted tools are
refused by their names. Reasoning comes as reasoning items and as thinking blocks. Errors have the
shape of the client's API. The count of tokens is the largest of the components that may be drawn,
each by its own chat template, or an estimate where none of them can count.

**Best of several candidates.** Where components have `best_of`, the header `X-Blended-Best-Of` says
how many candidates a response was chosen from, and by what (`4; chosen_by=reward`, or `first` where
the reward model gave no scores), or why there was one alone (`1; reason=tools`): see
[best-of.md](best-of.md). `completion_tokens` counts all candidates, and
`completion_tokens_details.rejected_tokens` those that were not chosen.
"""
_ENDPOINTS_HEAD = ("| endpoint | what it does | needs |", "|---|---|---|")
_ORDER: tuple[Handling, ...] = ("passed", "moved", "read", "dropped", "refused")


def page() -> str:
    """The endpoints, and one row for each field of those that generate."""
    tables = [
        ("Chat", CHAT_FIELDS),
        ("Completions", COMPLETION_FIELDS),
        ("Responses", RESPONSES_FIELDS),
        ("Messages", MESSAGES_FIELDS),
    ]
    head = _HEAD.format(endpoints="\n".join([*_ENDPOINTS_HEAD, *map(_endpoint, ENDPOINTS)]))
    return "\n".join([head, *(_section(title, fields) for title, fields in tables)])


def _endpoint(endpoint: Endpoint) -> str:
    key = "no key, no limit" if endpoint.is_open else "key"
    return f"| `{endpoint.method} {endpoint.path}` | {endpoint.note} | {key} |"


def _section(title: str, fields: Mapping[str, Field]) -> str:
    rows = sorted(fields.values(), key=lambda field: _ORDER.index(field.handling))
    table = ["| field | | what for, or what instead | values |", "|---|---|---|---|"]
    return f"## {title}\n\n" + "\n".join([*table, *map(_row, rows)]) + "\n"


def _row(field: Field) -> str:
    takes = field.kind.words if field.kind else "-"
    return f"| `{field.name}` | {field.handling} | {field.note} | {takes} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or compare it; 1 if it is not up to date."""
    return generated_page.run("blended.router.fields_page", PAGE, page(), arguments)


if __name__ == "__main__":
    sys.exit(main())
