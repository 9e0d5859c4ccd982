"""The time to the first token by turn, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

_COLOURS = ("tab:green", "tab:red", "tab:blue")


def save(path: Path, document: Mapping[str, Any]) -> None:
    """A line for each series: median milliseconds to the first token, by turn."""
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.subplots()
    for (name, by_turn), colour in zip(document["ttft_ms_by_turn"].items(), _COLOURS, strict=True):
        turns = range(1, len(by_turn) + 1)
        axes.plot(turns, by_turn, "o-", color=colour, label=name)
    axes.set(xlabel="turn of the conversation", ylabel="median ms to the first token")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.set_title(
        f"{document['user_words']} words asked, {document['response_tokens']} tokens answered, "
        f"{document['cores']} cores: {document['cpu']}",
        fontsize=9,
    )
    figure.savefig(path, dpi=150)
