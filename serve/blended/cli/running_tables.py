"""The tables and hints that the command line prints about a running blend."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console

from blended.cli import layout


def show_models(console: Console, entries: Iterable[dict[str, Any]]) -> None:
    """Print the API's list of models."""
    entries = list(entries)
    shares: dict[str, float] = entries[0].get("selection", {}) if entries else {}
    rows = [
        (
            entry["id"],
            entry["kind"],
            f"{shares[entry['id']]:.1%}" if entry["id"] in shares else "",
            entry["description"],
        )
        for entry in entries
    ]
    layout.show(console, ("model", "kind", "share", "description"), rows)


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
