"""`blended journal`: export records from the journal, and remove records.

Only `migrate` makes a database: with a wrong address the others would find an empty one.
"""

import os
import time
from contextlib import closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blended.cli.opened_journal import opened
from blended.cli.times import past
from blended.folders import state_dir
from blended.journal.identity import Identity
from blended.launch import state

if TYPE_CHECKING:
    pass

app = typer.Typer(help="The journal: a record of every response.", no_args_is_help=True)

_DAY_S = 86_400.0


class Format(StrEnum):
    """File formats."""

    PARQUET = "parquet"
    JSONL = "jsonl"


OlderThan = Annotated[
    float | None, typer.Option(min=0, metavar="DAYS", help="Remove all that is so old.")
]
TextsOlderThan = Annotated[
    float | None, typer.Option(min=0, metavar="DAYS", help="Remove texts that are so old.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--database", help="Its address, if neither BLENDED_JOURNAL_URL nor this user's own file."
    ),
]


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Where the files go.")],
    since: Annotated[
        datetime, typer.Option(parser=past, metavar="TIME", help="UTC, or 24h or 7d ago.")
    ],
    until: Annotated[
        datetime | None, typer.Option(parser=past, metavar="TIME", help="Now without it.")
    ] = None,
    to: Annotated[Format, typer.Option(help="The kind of files.")] = Format.PARQUET,
    contents: Annotated[bool, typer.Option("--contents", help="Texts, too.")] = False,
    database: Url = None,
) -> None:
    """Write responses and feedback to files; memory does not grow with their number."""
    from blended.journal import export as exporting

    end = (until or datetime.now(UTC)).timestamp()
    with opened(database) as store:
        files = exporting.export(store, since.timestamp(), end, folder, to.value, contents)
    for path, rows in files.items():
        typer.echo(f"{path}: {rows:,} rows")


@app.command()
def migrate(database: Url = None) -> None:
    """Create the journal's tables, or bring them up to date; routers do it by themselves."""
    from blended.journal.from_config import open_store

    with closing(open_store(os.environ, database)) as store:
        store.migrate()
    typer.echo("The journal's tables are up to date.")


@app.command()
def prune(
    older_than: OlderThan = None,
    contents_older_than: TextsOlderThan = None,
    database: Url = None,
) -> None:
    """Remove old records, or only their texts."""
    if older_than is None and contents_older_than is None:
        raise typer.BadParameter("Give --older-than, --contents-older-than, or both.")
    now = time.time()
    limits = [None if d is None else now - d * _DAY_S for d in (older_than, contents_older_than)]
    with opened(database) as store:
        gone = store.prune(*limits)
    typer.echo(
        f"Removed {gone.responses:,} responses, {gone.contents:,} contents and {gone.feedback:,} "
        f"feedbacks, and {gone.partitions} whole months."
    )


@app.command()
def forget(
    user: Annotated[str, typer.Argument(help="As clients name the user in their requests.")],
    database: Url = None,
    spool: Annotated[
        Path | None, typer.Option(help="journal.spool.folder, if not this user's own.")
    ] = None,
) -> None:
    """Delete all data of one user: in the database, and in the spool of this machine.

    It does not touch exported files.
    """
    from blended.journal.forgetting import forget_waiting

    hashed = Identity(state.journal_secret()).user(user)
    with opened(database) as store:
        waiting = forget_waiting(spool or state_dir() / "spool", hashed, store.ids_of(hashed))
        typer.echo(f"Deleted {store.forget(hashed):,} responses.")
    if waiting:
        typer.echo(f"{waiting:,} records are on their way to the database; do it again in 10 s.")
