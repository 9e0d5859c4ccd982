"""`blended check`, `init` and `schema`: a blend's file before anything runs."""

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from blended.cli import check_tables, layout
from blended.config import loading
from blended.errors import ConfigError

Source = Annotated[
    str, typer.Argument(help="A YAML file, the name of a preset, or - for the standard input.")
]

console = Console()


def check(source: Source, as_json: layout.AsJson = False) -> None:
    """Print what a blend will deploy, or every mistake in its file."""
    blend = loading.load(source)
    if as_json:
        layout.show_json(check_tables.document(blend))
        return
    check_tables.show(console, blend)


def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = Path("blend.yaml"),
) -> None:
    """Write a blend with comments to start from: the demo's models, and how to add others."""
    text = (resources.files("blended.cli") / "starter.yaml").read_text("utf-8")
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError:
        raise ConfigError(f"'{file}' exists; remove it first, or name another file.") from None
    except OSError as exc:
        raise ConfigError(f"'{file}' cannot be written: {exc.strerror}.") from None
    typer.echo(f"Wrote {file}. 'blended check {file}' says what it deploys, and")
    typer.echo(f"'blended up {file}' starts it. 'blended schema > blend.schema.json'")
    typer.echo("beside it lets editors complete and check it.")


def schema() -> None:
    """Print the JSON Schema of a blend's file, for editors."""
    found = resources.files("blended") / "presets" / "blend.schema.json"
    typer.echo(found.read_text("utf-8"), nl=False)
