"""Has components read conversations whose next response they are to give (look-ahead)."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import aiohttp

from blended.errors import ApiError
from blended.router.availability import Availability
from blended.router.blend import Upstream
from blended.router.inquiry import Inquiry
from blended.router.question import reading
from blended.router.upstream import Answer, Unanswered, ask
from blended.router.usage import reported
from blended.tracing import ResponseTrace

Outcome = Literal["asked", "used", "unused", "busy", "dropped", "no_store", "tokens"]
# Called with the component, None if none is concerned, what has happened, and how often.
Count = Callable[[str | None, Outcome, int], None]

# The conversations that one replica of a component reads at once for one router replica.
_AT_ONCE = 2


class Readers:
    """The components that read ahead for this router replica, each of them few at once."""

    def __init__(self, availability: Availability, count: Count) -> None:
        self._availability, self._count = availability, count
        self._reading = Counter[str | None]()

    def is_ready(self, upstream: Upstream) -> bool:
        """Whether a component has time to read; counts it as busy if it only lacks the time."""
        if not upstream.reads_ahead:
            return False
        most = _AT_ONCE * upstream.max_replicas
        is_ready = self._reading[upstream.id] < most and self._availability.is_idle(upstream, most)
        if not is_ready:
            self._count(upstream.id, "busy", 1)
        return is_ready

    async def read(
        self,
        session: aiohttp.ClientSession,
        inquiry: Inquiry,
        component: str,
        said: str,
        trace: ResponseTrace,
    ) -> None:
        """Have a component read the history of `inquiry` with the response `said` to it."""
        upstream = inquiry.blend.upstreams[component]
        self._count(component, "asked", 1)
        reads = trace.read_ahead(upstream.kind, upstream.id, upstream.base_url)
        try:
            with reads as context:
                shown = context if upstream.is_ours else {}
                question = await reading(session, inquiry, component, said, shown)
                async with ask(session, question) as answer:
                    self._count(component, "tokens", _computed(answer))
        except (Unanswered, ApiError) as exc:
            if isinstance(exc, Unanswered):
                self._availability.declined(upstream)
            self._count(component, "dropped", 1)

    @contextmanager
    def occupied(self, component: str | None) -> Iterator[None]:
        """Count a component as reading one more conversation; None is no component."""
        self._reading[component] += 1
        try:
            yield
        finally:
            self._reading[component] -= 1


def _computed(answer: Answer) -> int:
    """The prompt tokens that were computed, and not found in the prefix cache."""
    usage = answer.whole[1].get("usage") if answer.whole is not None else None
    details = usage.get("prompt_tokens_details") if isinstance(usage, dict) else None
    prompt = reported(usage, "prompt_tokens") or 0
    return max(0, prompt - (reported(details, "cached_tokens") or 0))
