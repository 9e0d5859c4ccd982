"""A conversation in the terminal: typed by a person, or played from a list of turns."""

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

from rich.console import Console
from rich.markup import escape

from blended.cli.word_wrap import WordWrap
from blended.errors import LaunchError
from blended.launch.client import Client, Message, Reply

_HINT = "Ctrl-C ends a response · /help · /quit"
_COMMANDS = {
    "/retry": "draw the last response again",
    "/model NAME": "talk to the blend, or to one component",
    "/help": "list the commands",
    "/quit": "leave; so does Ctrl-D",
}
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
        """Read lines and answer them until /quit or the end of the input; Ctrl-C ends neither."""
        read = _reader(self._console)
        self._console.print(f"[dim]{_HINT}[/]")
        while True:
            try:
                line = read().strip()
                if line == "/quit":
                    return
                if line:
                    self._handle(line)
            except KeyboardInterrupt:
                self._console.print(f"\n[dim]{_HINT}[/]")
            except EOFError:
                return

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
        elif command == "/help":
            for name, what in _COMMANDS.items():
                self._console.print(f"  {name:12} {what}", highlight=False)
        else:
            known = ", ".join(name.split()[0] for name in _COMMANDS)
            raise LaunchError(f"There is no command {command}; there are {known}.")

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
        pieces = list[str]()
        try:
            speak(
                self._client,
                self._console,
                self._model,
                self._models,
                self._history,
                self._conversation,
                pieces.append,
            )
        except KeyboardInterrupt:
            self._console.print("\n[dim]  — ended by you[/]")
        # Of a response that was ended, the part that was read is a turn of the conversation.
        if text := "".join(pieces).strip():
            self._history.append({"role": "assistant", "content": text})


def _reader(console: Console) -> Callable[[], str]:
    """Reads a line: on a terminal with arrow keys and the lines before; these are kept nowhere."""
    if not console.is_terminal:
        return lambda: console.input("[bold]you[/]  ")
    with suppress(ImportError):
        import readline  # noqa: F401 - input() uses it once it is loaded
    # The marks tell it what takes no room on the line.
    return lambda: input("\001\033[1m\002you\001\033[0m\002  ")


def speak(
    client: Client,
    console: Console,
    model: str,
    names: Sequence[str],
    history: list[Message],
    conversation: str,
    on_text: Callable[[str], object] = lambda text: None,
) -> Reply:
    """Stream one response to the terminal and put the component's name under it.

    Each piece also goes to `on_text`, for when the response does not end.
    """
    words = WordWrap(
        lambda text: console.print(escape(text), end="", highlight=False, soft_wrap=True),
        console.width if console.is_terminal else None,
    )

    def show(text: str) -> None:
        on_text(text)
        words.feed(text)

    try:
        reply = client.stream(model, history, show, conversation)
    finally:
        words.end()
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
