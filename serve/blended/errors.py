"""The errors that Blended raises: each says what is wrong, the value, and what to do.

Their constructors take plain positional arguments, so that errors survive pickling between Ray
processes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blended.retry_after import RETRY_AFTER_S


class BlendedError(Exception):
    """Root of every error that this package raises on purpose."""


class ConfigError(BlendedError, ValueError):
    """A blend's configuration cannot be used; the message lists every mistake found."""


class LaunchError(BlendedError, RuntimeError):
    """A blend could not be started, reached or stopped."""


class NotEnoughData(BlendedError, ValueError):
    """The data are too few for a result; the message says how many are missing."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a blend's configuration.

    `path` is its position in the file (`components[0].sampling.top_p.max`); `message` is a sentence
    with the value and the remedy. `line` is its line in the file, from 1, where it is known.
    """

    path: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.path or 'the file'}: {self.message}"


def field_path(steps: Iterable[int | str], base: str = "") -> str:
    """The path of a field below `base`, as in a Problem."""
    inner = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return f"{base}{inner}".lstrip(".")


class ApiError(BlendedError):
    """A request that ends without a response of a component, in OpenAI's error shape.

    `headers` are sent with it to the client. `retry_after_s` defaults to that of the error's code.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(status, message, code, param, retry_after_s)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        given = retry_after_s is not None
        self.retry_after_s = retry_after_s if given else RETRY_AFTER_S.get(code or "")
        self.headers: Mapping[str, str] = {}

    def __str__(self) -> str:
        return self.message

    @property
    def type(self) -> str:
        """OpenAI's error type, which follows from the HTTP status."""
        return "invalid_request_error" if self.status < 500 else "server_error"

    def body(self) -> dict[str, dict[str, str | None]]:
        """The error as the JSON document that OpenAI's clients parse."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
            }
        }
