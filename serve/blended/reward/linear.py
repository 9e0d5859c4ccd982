"""The small reward model: a weight for every word and pair of words, in plain NumPy.

    model = LinearReward.load(Path("reward.npz"))
    model.scores([transcript(messages, response) for response in candidates])

A score is the log-odds, up to a constant of the history, that a user keeps the response instead of
having it drawn again. What length and author added in the data was fitted apart, and is left out.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from blended.errors import ConfigError
from blended.reward.features import DIMENSIONS, RELATIONS, Features, features

_SHAPES = {"weights": (DIMENSIONS,), "relations": (len(RELATIONS),)}

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LinearReward:
    """Weights of the places, shape (DIMENSIONS,), and of the RELATIONS.

    `about` is what the file says of how it came about: JSON, of which no score depends.
    """

    weights: Floats
    relations: Floats
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "LinearReward":
        """Read a model that `save` has written.

        Raises:
            ConfigError: the file cannot be read, or is no such model.
        """
        try:
            # NumPy would leave a file open that it cannot read.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in _SHAPES}
                about = json.loads(bytes(file["about"]))
        except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as exc:
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else None
            raise _unfit(path, reason or "it is no file that 'blended reward fit' writes") from exc
        if {name: array.shape for name, array in arrays.items()} != _SHAPES:
            raise _unfit(path, "another version of Blended has written it; fit it anew")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise _unfit(path, "it has weights that are no numbers; fit it anew")
        return cls(**{n: a.astype(np.float32) for n, a in arrays.items()}, about=about)

    def save(self, path: Path) -> None:
        """Write the model; equal models are equal files.

        Raises:
            ConfigError: the file cannot be written.
        """
        about = np.frombuffer(json.dumps(self.about).encode(), dtype=np.uint8)
        written = io.BytesIO()
        np.savez_compressed(written, weights=self.weights, relations=self.relations, about=about)
        try:
            path.write_bytes(written.getvalue())
        except OSError as exc:
            raise ConfigError(f"'{path}' cannot be written: {exc.strerror}.") from exc

    @cached_property
    def version(self) -> str:
        """A hash of the weights: scores of different versions cannot be compared."""
        content = self.weights.tobytes() + self.relations.tobytes()
        return hashlib.blake2b(content, digest_size=6).hexdigest()

    def scores(self, texts: Sequence[str]) -> list[float]:
        """The score of the response at the end of each transcript; higher is better."""
        return [self.score(features(text)) for text in texts]

    def score(self, found: Features) -> float:
        """The score of one response by its features."""
        by_words = self.weights[found.places].sum(dtype=np.float64)
        return float(by_words + np.dot(self.relations, found.relations))


def _unfit(path: Path, reason: str) -> ConfigError:
    return ConfigError(f"'{path}' cannot be used as a reward model: {reason}.")
