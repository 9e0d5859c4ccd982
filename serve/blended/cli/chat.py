"""A conversation in the terminal: typed by a person, or played from a list of turns."""

import uuid
from collections.abc import Collection, Iterable, Sequence

from rich.console import Console
from rich.markup import escape

from blended.errors import LaunchError
from blended.launch.client import Client, Message, Reply

_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")


class Chat:
    """A conversation with the blend or with one component; a change of model keeps the history."""

    def __init__(self, client: Client, console: Console, model: str | None) -> None:
        self._client = client
        self._console = console
        self._models = [entry["id"] for entry in client.models()]
        self._model = self._models[0]
        self._conversation = uuid.uuid4().hex
        self._history: list[Message] = []
        if model is not None:
            self._change_model(model)

    def run(self) -> None:
        """Read lines and answer them until /quit or the end of the input."""
        self._console.print("[dim]/retry draws again · /model NAME · /quit[/]")
        while True:
            try:
                line = self._console.input("[bold]you[/]  ").strip()
            except (EOFError, KeyboardInterrupt):
                return
            if line == "/quit":
                return
            if line:
                self._handle(line)

    def _handle(self, line: str) -> None:
        try:
            if line.startswith("/"):
                self._command(line)
            else:
                self._history.append({"role": "user", "content": line})
                self._answer()
        except LaunchError as exc:
            self._console.print(f"[red]{escape(str(exc))}[/]")

    def _command(self, line: str) -> None:
        command, _, argument = line.partition(" ")
        if command == "/retry":
            self._retry()
        elif command == "/model":
            self._change_model(argument.strip())
        else:
            raise LaunchError(f"There is no command {command}; there are /retry, /model and /quit.")

    def _retry(self) -> None:
        if self._history and self._history[-1]["role"] == "assistant":
            self._history.pop()
        if not self._history:
            raise LaunchError("There is no response to draw again; say something first.")
        self._answer()

    def _change_model(self, name: str) -> None:
        if name not in self._models:
            known = ", ".join(self._models)
            raise LaunchError(f"There is no model '{name}'; the models are {known}.")
        self._model = name
        self._console.print(f"[dim]now talking to {escape(name)}[/]")

    def _answer(self) -> None:
        reply = speak(
            self._client,
            self._console,
            self._model,
            self._models,
            self._history,
            self._conversation,
        )
        self._history.append({"role": "assistant", "content": reply.text})


def speak(
    client: Client,
    console: Console,
    model: str,
    names: Sequence[str],
    history: list[Message],
    conversation: str,
) -> Reply:
    """Stream one response to the terminal and put the component's name under it."""
    reply = client.stream(
        model,
        history,
        lambda text: console.print(escape(text), end="", highlight=False),
        conversation,
    )
    who = reply.component or model
    colour = _COLOURS[names.index(who) % len(_COLOURS)] if who in names else "white"
    timing = f"{reply.tokens} tokens, first after {reply.ttft_ms:.0f} ms"
    console.print(f"\n[{colour}]  — {escape(who)}[/] [dim]{timing}[/]")
    return reply


def converse(
    client: Client,
    console: Console,
    model: str,
    turns: Sequence[str],
    going_on: Sequence[str] = (),
    components: Collection[str] = (),
) -> list[Reply]:
    """Play the user's side of a conversation and show both sides.

    After `turns` it takes turns from `going_on` until all `components` have answered; it names
    those that have not.
    """
    names = [entry["id"] for entry in client.models()]
    history: list[Message] = []
    replies = list[Reply]()
    conversation = uuid.uuid4().hex
    for number, turn in enumerate([*turns, *going_on]):
        if number >= len(turns) and not _silent(components, replies):
            break
        console.print(f"\n[bold]you[/]  {escape(turn)}")
        history.append({"role": "user", "content": turn})
        reply = speak(client, console, model, names, history, conversation)
        history.append({"role": "assistant", "content": reply.text})
        replies.append(reply)
    if silent := _silent(components, replies):
        console.print(f"\nNo turn fell to {escape(' and '.join(silent))}: every draw is fair.")
    return replies


def _silent(components: Collection[str], replies: Iterable[Reply]) -> list[str]:
    answered = {reply.component for reply in replies}
    return [component for component in components if component not in answered]
