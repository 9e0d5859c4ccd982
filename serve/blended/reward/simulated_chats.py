"""Records of simulated chats, as a router would keep them: for journals whose truth is known."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blended.journal.records import ResponseRecord

_SECONDS_OF_A_RESPONSE = 1.0


@dataclass(frozen=True)
class Chat:
    """A conversation of a simulated user with a blend that draws `components` uniformly."""

    user: str
    number: int
    components: tuple[str, ...]

    def record(
        self, at: float, messages: Sequence[Mapping[str, Any]], component: str, response: str
    ) -> ResponseRecord:
        """A finished response to a history; equal histories are a retry, as in a real journal."""
        share = 1 / len(self.components)
        texts = [message["content"] for message in messages]
        return ResponseRecord(
            response_id=f"chatcmpl-{_hash(self.user, self.number, at)}",
            request_id=_hash("request", self.user, self.number, at),
            started_at=round(at, 3),
            key_name="simulated",
            user=self.user,
            conversation=_hash(self.user, self.number),
            turn=sum(message["role"] == "user" for message in messages),
            lineage=_hash(self.user, self.number, texts),
            parent=_hash(self.user, self.number, texts[:-2]) if len(texts) > 2 else None,
            model="simulated",
            experiment=None,
            arm=None,
            distribution=_hash(self.components),
            probabilities=dict.fromkeys(self.components, share),
            uniform=(self.components.index(component) + 0.5) * share,
            drawn=component,
            component=component,
            propensity=share,
            failures=[],
            replica=None,
            stream=True,
            prompt_tokens=None,
            cached_tokens=None,
            completion_tokens=None,
            ttft_s=0.1,
            itl_mean_s=None,
            itl_p99_s=None,
            e2e_s=_SECONDS_OF_A_RESPONSE,
            router_s=0.0,
            finish_reason="stop",
            state="finished",
            content={"messages": [dict(message) for message in messages], "response": [response]},
            left=list(self.components),
        )


def user_id(seed: int, number: int) -> str:
    """A simulated user, as a hash like those of real ones."""
    return _hash("simulated user", seed, number)


def _hash(*parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
