"""`blended keys`: make, list and remove clients' API keys in a file that holds their hashes."""

import hashlib
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from blended.cli import keys_editing, layout
from blended.cli.edited_files import edit
from blended.cli.times import future
from blended.router.access import keys_file

app = typer.Typer(help="API keys of clients, kept in a file as hashes.", no_args_is_help=True)


Name = Annotated[str, typer.Argument(help="What limits, logs and lists call the key.")]
File = Annotated[Path, typer.Option(help="The keys file: api.keys_file of the blend.")]
PerMinute = Annotated[int | None, typer.Option(min=1, help="No limit without it.")]
Expires = Annotated[
    datetime | None,
    typer.Option(parser=future, metavar="TIME", help="Refuse the key from then on; UTC."),
]


@app.command()
def new(
    name: Name,
    file: File,
    requests_per_minute: PerMinute = None,
    tokens_per_minute: PerMinute = None,
    expires: Expires = None,
) -> None:
    """Make a key, add its hash to the file, and print the key once: it is stored nowhere."""
    key = f"sk-blend-{secrets.token_urlsafe(32)}"
    fields = {
        "name": name,
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "expires": expires,
    }
    given = {field: value for field, value in fields.items() if value is not None}
    edit(file, lambda text: keys_editing.with_entry(text, given, str(file)), keys_editing.EMPTY)
    typer.echo(f"Added '{name}' to {file}. Its key is shown only now:", err=True)
    typer.echo(key)


@app.command("list")
def show(file: File, as_json: layout.AsJson = False) -> None:
    """List the keys in the file and their limits; no hash is shown."""
    now = datetime.now(UTC)
    entries = keys_file.read(file)
    if as_json:
        layout.show_json([e.model_dump(mode="json", exclude={"sha256"}) for e in entries])
        return
    heads = ("name", "requests per minute", "tokens per minute", "expires")
    layout.show(Console(), heads, [_cells(entry, now) for entry in entries])


def _cells(entry: keys_file.KeyEntry, now: datetime) -> list[str]:
    limits = (entry.requests_per_minute, entry.tokens_per_minute)
    expires = "" if entry.expires is None else str(entry.expires)
    is_over = entry.expires is not None and entry.expires <= now
    shown = ("" if limit is None else str(limit) for limit in limits)
    return [entry.name, *shown, f"{expires} (is over)" if is_over else expires]


@app.command()
def remove(name: Name, file: File) -> None:
    """Remove a key from the file; a router that reads this file refuses it a second later."""
    edit(file, lambda text: keys_editing.without_entry(text, name, str(file)))
    typer.echo(f"Removed '{name}' from {file}.", err=True)
