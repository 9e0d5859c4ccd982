"""The command line: `blended up`, `status`, `apply`, `down`, `chat`, `models`, `demo`, and more."""

import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape

from blended import __version__
from blended.cli import (
    blend_files,
    experiment,
    journal,
    keys,
    layout,
    learn,
    reward,
    running_tables,
)
from blended.cli import chat as conversation
from blended.config import BlendConfig, loading
from blended.errors import BlendedError, LaunchError
from blended.launch import state
from blended.launch.client import Client
from blended.launch.state import Running

if TYPE_CHECKING:
    from blended.launch import rest

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _command in (blend_files.check, blend_files.init, blend_files.schema):
    app.command()(_command)
app.add_typer(keys.app, name="keys")
app.add_typer(journal.app, name="journal")
app.add_typer(experiment.app, name="experiment")
app.add_typer(learn.app, name="learn")
app.add_typer(reward.app, name="reward")
console = Console()

Port = Annotated[int, typer.Option(help="Where the API listens.", min=1024, max=65535)]
Timeout = Annotated[float, typer.Option(help="Seconds to wait for every engine.", min=1)]
Url = Annotated[str | None, typer.Option(help="The blend's address, if not this machine's own.")]
Address = Annotated[
    str | None, typer.Option(help="The Ray dashboard of a cluster that runs already.")
]


def _say_version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@app.callback()
def blended(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_say_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """One chat model out of several small ones."""


def main() -> None:
    """Run the command line; an error of ours is a sentence, not a stack trace."""
    try:
        app()
    except BlendedError as exc:
        _say_error(str(exc) or type(exc).__name__)
        raise SystemExit(1) from exc


def _say_error(message: str) -> None:
    """Print an error: broken at blanks on a terminal, in whole lines for other programs."""
    errors = Console(stderr=True)
    text = f"error {message}"
    if errors.is_terminal:
        text = layout.wrapped(text, errors.width)
    rest = escape(text.removeprefix("error"))
    errors.print(f"[bold red]error[/]{rest}", highlight=False, soft_wrap=True)


@app.command()
def up(
    source: blend_files.Source,
    port: Port = 8000,
    address: Address = None,
    timeout: Timeout = 1800,
    detach: Annotated[bool, typer.Option(help="Return once the blend runs.")] = False,
    restart: Annotated[
        bool, typer.Option(help="Start it again when its cluster ends by itself.")
    ] = False,
) -> None:
    """Start a blend on this machine and serve until Ctrl-C, or deploy it to a cluster."""
    if restart and (detach or address is not None):
        raise LaunchError(
            "With --restart this process watches the cluster of this machine, so that it goes "
            "neither with --detach nor with --address; run it as a service of systemd instead."
        )
    # Ray's imports take a second; the other commands do not need them.
    from blended.launch import rest
    from blended.launch import up as launch

    blend = loading.load(source)
    if address is not None:
        api = rest.ServeApi(address, os.environ.get("RAY_AUTH_TOKEN"))
        with _progress() as report:
            launch.deploy(api, blend, port, timeout, report)
        console.print(f"'{blend.name}' runs on the cluster, port {port} of its nodes.")
        return
    if detach:
        _say_where(_start(blend, port, timeout))
    else:

        def read_again() -> BlendConfig:
            """The file may have changed since, with the running blend; a pipe has nothing more."""
            return blend if source == loading.STDIN else loading.load(source)

        _serve_until_interrupted(lambda: _start(read_again(), port, timeout), restart)


@app.command()
def status() -> None:
    """Say whether the blend that `blended up` started still runs and answers."""
    from blended.launch import node

    running = _remembered()
    if not node.is_alive(running):
        raise LaunchError(
            f"'{running.blend}' has ended by itself: its cluster is gone. 'blended down' removes "
            "what is left of it; 'blended up' starts it again, and with --restart does so whenever "
            "its cluster ends."
        )
    is_healthy = Client(running.url, state.client_key()).is_healthy()
    if running.starting and not is_healthy:
        raise LaunchError(
            f"'{running.blend}' is still starting: it answers at {running.url} once its components "
            "are loaded."
        )
    if not is_healthy:
        raise LaunchError(
            f"'{running.blend}' runs, but {running.url} does not answer; its logs are in "
            f"'{running.temp_dir}'."
        )
    console.print(f"'{running.blend}' runs and answers at {running.url}.", soft_wrap=True)


@app.command()
def down(address: Address = None) -> None:
    """Stop the blend that `blended up` started, or delete it from a cluster."""
    from blended.launch import node, rest

    if address is not None:
        rest.ServeApi(address, os.environ.get("RAY_AUTH_TOKEN")).delete()
        console.print("Deleted the blend's applications.")
        return
    running = _remembered()
    had_ended = not node.is_alive(running)
    count = node.stop_node(running)
    if had_ended:
        console.print(
            f"'{running.blend}' had ended by itself: its cluster was gone. Removed its files, and "
            f"{count} processes that were left.",
            soft_wrap=True,
        )
    else:
        console.print(f"Stopped '{running.blend}', {count} processes.")


@app.command()
def apply(
    source: blend_files.Source,
    address: Address = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    timeout: Timeout = 1800,
) -> None:
    """Change the running blend into the one in a file, while it serves."""
    from blended.launch import apply as live

    blend = loading.load(source)
    running, api = _cluster(address)
    plan = live.plan(api, blend)
    if plan.changes:
        for change in plan.changes:
            console.print(f"  {change.sentence}", highlight=False, markup=False, soft_wrap=True)
        if running is not None:
            live.refuse_unfit(api, plan, psutil.Process(running.pid).environ())
        if not yes:
            _ask()
    with _progress() as report:
        folder = state.ray_folder(running.temp_dir) if running else None
        live.carry_out(api, plan, timeout, report, folder)
    if running is not None:
        state.write_running(replace(running, blend=blend.name))
    end = f"'{blend.name}' runs as '{source}' says." if plan.changes else "Nothing to change."
    console.print(end, highlight=False, soft_wrap=True)


@app.command()
def models(url: Url = None, as_json: layout.AsJson = False) -> None:
    """List the blend and its components."""
    found = _client(url).models()
    if as_json:
        layout.show_json(found)
        return
    running_tables.show_models(console, found)


@app.command()
def chat(
    url: Url = None,
    model: Annotated[str | None, typer.Option(help="The blend, or one component.")] = None,
) -> None:
    """Talk to the blend; /help lists the commands, Ctrl-C ends a response."""
    conversation.Chat(_client(url), console, model).run()


@app.command()
def demo(
    port: Port = 8000,
    once: Annotated[bool, typer.Option(help="Stop after the conversation.")] = False,
) -> None:
    """Start the demo blend, play a conversation, and keep serving until Ctrl-C."""
    from blended.demo import CONVERSATION, GOING_ON
    from blended.launch import node

    start = time.perf_counter()
    blend = loading.load("demo")
    running = _start(blend, port, timeout=600)
    up_s = round(time.perf_counter() - start, 1)
    try:
        client = Client(running.url, state.client_key())
        components = [component.id for component in blend.components]
        replies = conversation.converse(
            client, console, blend.name, CONVERSATION, GOING_ON, components
        )
    except BaseException:
        node.stop_node(running)
        raise
    if not once:
        _serve_until_interrupted(lambda: running)
        return
    node.stop_node(running)
    turns = [
        {"component": r.component, "ttft_ms": round(r.ttft_ms, 1), "tokens": r.tokens}
        for r in replies
    ]
    counts = Counter(r.component for r in replies)
    shares = {c.id: counts[c.id] for c in blend.components}
    print(json.dumps({"up_s": up_s, "turns": turns, "responses_per_component": shares}))


def _start(blend: BlendConfig, port: int, timeout: float) -> Running:
    from blended.launch import up as launch

    # Both signals stop the blend, also where a shell has told its children to ignore Ctrl-C.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with _progress() as report:
        return launch.up_local(blend, port, timeout, report)


def _serve_until_interrupted(start: Callable[[], Running], restart: bool = False) -> None:
    """Serve; a cluster that ends by itself is an error, unless it should be started again."""
    from blended.launch import node, supervision

    serving = list[Running]()

    def begin() -> None:
        serving[:] = [start()]
        _say_where(serving[0])

    patience = supervision.Patience() if restart else supervision.Patience(restarts=0)
    try:
        supervision.supervise(
            begin,
            lambda: node.wait(serving[0]),
            lambda sentence: console.print(sentence, highlight=False, soft_wrap=True),
            time.monotonic,
            time.sleep,
            patience,
        )
        console.print("The blend was stopped from elsewhere.")
    except KeyboardInterrupt:
        with console.status("stopping"):
            for running in serving:
                node.stop_node(running)
        console.print("Stopped.")


def _say_where(running: Running) -> None:
    running_tables.say_where(console, running.url, state.client_key(), running.blend)


def _remembered() -> Running:
    running = state.read_running()
    if running is None:
        raise LaunchError("No blend runs that 'blended up' started; start one with it.")
    return running


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Print every change with the seconds since the start; between changes, show progress."""
    start = time.monotonic()
    with console.status("starting") as status:

        def report(sentence: str) -> None:
            console.print(f"{time.monotonic() - start:6.1f} s  {sentence}", highlight=False)
            status.update(sentence)

        yield report


def _cluster(address: str | None) -> tuple[Running | None, "rest.ServeApi"]:
    """The cluster at an address, or the one on this machine with its remembered blend."""
    from blended.launch import node, rest

    if address is not None:
        return None, rest.ServeApi(address, os.environ.get("RAY_AUTH_TOKEN"))
    running = state.read_running()
    if running is None or not node.is_alive(running):
        raise LaunchError(
            "No blend runs on this machine; start one, or give a cluster's --address."
        )
    return running, rest.ServeApi(running.dashboard_url, state.ray_token())


def _ask() -> None:
    if not sys.stdin.isatty():
        raise LaunchError("Nobody can be asked, because the input is no terminal; give --yes.")
    if not typer.confirm("Change it?"):
        console.print("Nothing was changed.")
        raise typer.Exit(1)


def _client(url: str | None) -> Client:
    running = state.read_running()
    if url is None and running is None:
        raise LaunchError("No blend runs on this machine; start one, or give its --url.")
    return Client(url or running.url, state.client_key())  # type: ignore[union-attr]
