"""From a request that was read to an inquiry: with its user, arm, needs, seats and nonce."""

import secrets
from collections.abc import Mapping

from blended.journal.identity import Identity
from blended.router import fields, models, needs, remote_dialects, requests
from blended.router.blend import Blend
from blended.router.inquiry import FIELDS, Inquiry, seated
from blended.router.operations import Asked, Operation

_LONGEST_ID = 128


def inquiry_of(
    blend: Blend,
    operation: Operation,
    asked: Asked,
    key_name: str,
    headers: Mapping[str, str],
    identity: Identity | None,
    started_at: float,
) -> Inquiry:
    """A checked request with everything on which its draw depends.

    Without an `identity`, which is the journal's, no user is known. `started_at` is when the
    request came, in Unix seconds.

    Raises:
        ApiError: 400, a field of it reaches no component; 404, there is no such model.
    """
    response_id = _response_id(identity, operation.prefix, started_at, key_name)
    unique = response_id.partition("-")[2]
    turn, model = asked.turn, asked.payload.get("model")
    user = identity.user(turn.user) if identity and turn.user else None
    assignment = blend.assignment(model, user, started_at, turn.since)
    whole = models.distribution(blend, model, assignment)
    wanted = needs.needs(asked.payload)
    reserve, needed = needs.drawn_among(str(model), whole, wanted, blend.upstreams)
    seed, seats = blend.config.selection.seed, blend.per_conversation(model, assignment)
    inquiry = Inquiry(
        blend=blend,
        path=operation.path,
        payload=asked.payload,
        key_name=key_name,
        turn=turn,
        nonce=headers.get("idempotency-key") or unique,
        ahead=None,
        request_id=(headers.get("x-request-id") or unique)[:_LONGEST_ID],
        response_id=response_id,
        size_bytes=asked.size_bytes,
        prompt_tokens=asked.prompt_tokens,
        user=user,
        assignment=assignment,
        needs=needed,
        distribution=reserve if seats is None else seated(reserve, seats, seed, turn),
        reserve=reserve,
        started_at=started_at,
    )
    _check_possible(inquiry)
    return inquiry


def _response_id(identity: Identity | None, prefix: str, started_at: float, key_name: str) -> str:
    if identity is None:
        return f"{prefix}-{secrets.token_hex(16)}"
    return identity.response_id(prefix, started_at, key_name)


def _check_possible(inquiry: Inquiry) -> None:
    """Refuse what some component that may be drawn would not keep."""
    payload, possible = inquiry.payload, inquiry.possible
    fields.check_passed(payload, FIELDS[inquiry.path], [u.passthrough for u in possible])
    requests.check_choices(payload, [u.sampling.n for u in possible])
    remote_dialects.check(payload, possible)
