"""The tables and hints that the command line prints about a running blend."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table


def model_table(entries: Iterable[dict[str, Any]]) -> Table:
    """The API's list of models as a table."""
    table = Table("model", "kind", "share", "description")
    entries = list(entries)
    shares: dict[str, float] = entries[0].get("selection", {}) if entries else {}
    for entry in entries:
        share = shares.get(entry["id"])
        shown = "" if share is None else f"{share:.1%}"
        table.add_row(entry["id"], entry["kind"], shown, entry["description"])
    return table


def say_where(console: Console, url: str, key: str, model: str) -> None:
    """Print how to reach a blend: a curl line that works as it is, and the chat command."""
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'
    console.print(f"\n[bold]{model}[/] serves at {url}/v1 until Ctrl-C or 'blended down'.")
    console.print(
        f"  curl {url}/v1/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    console.print("  blended chat")
