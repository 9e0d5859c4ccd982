"""The page on endpoints and fields, from the table of fields: python -m blended.router.fields_page

Writes docs/api.md; with `--check` it only says whether the page is up to date.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from blended import generated_page
from blended.router.dialects.messages.fields import MESSAGES_FIELDS
from blended.router.dialects.responses.fields import RESPONSES_FIELDS
from blended.router.fields import CHAT_FIELDS, COMPLETION_FIELDS, Field, Handling

PAGE = Path("docs/api.md")
_HEAD = """# Endpoints and fields

This page is made from the table that the router checks requests by, with `python -m
blended.router.fields_page`.

| endpoint | what it does |
|---|---|
| `POST /v1/chat/completions` | answers a conversation |
| `POST /v1/completions` | continues a text |
| `POST /v1/responses` | answers a conversation, as OpenAI's Responses API |
| `POST /v1/messages` | answers a conversation, as Anthropic's Messages API |
| `POST /v1/messages/count_tokens` | counts a request's tokens |
| `GET /v1/models`, `/v1/models/{model}` | the blend and its components |
| `POST /v1/feedback` | takes what a user says of a response |
| `GET /v1/responses/{response}` | the record of a response |
| `GET /openapi.json` | all of this for machines |
| `GET /healthz` | whether the router runs; the only one without a key and limits |

A field is **passed** to the component as it is, **moved** into the range that the component has
under `sampling`, **read** by the router and not passed, **dropped** because leaving it out breaks
no promise, or **refused** with 400 and its name, as every field is that is not on this page.
Values other than those below are refused as well; null is as good as nothing.

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
"""
_ORDER: tuple[Handling, ...] = ("passed", "moved", "read", "dropped", "refused")


def page() -> str:
    """The endpoints, and one row for each field of those that generate."""
    tables = [
        ("Chat", CHAT_FIELDS),
        ("Completions", COMPLETION_FIELDS),
        ("Responses", RESPONSES_FIELDS),
        ("Messages", MESSAGES_FIELDS),
    ]
    return "\n".join([_HEAD, *(_section(title, fields) for title, fields in tables)])


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
