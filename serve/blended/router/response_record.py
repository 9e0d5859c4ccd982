"""The journal's record of a response, from the router's data when the response ends."""

from typing import Any

from blended.journal import records
from blended.journal.records import ResponseRecord
from blended.router.inquiry import CHAT
from blended.router.repetition import repetition
from blended.router.response import Ending
from blended.router.texts import texts
from blended.router.turns import Lineage, lineage_of
from blended.router.usage import reported


def response_record(ending: Ending, is_kept: bool, keeps_content: bool = False) -> ResponseRecord:
    """The full record of a response; with its texts if the journal keeps them.

    Without a journal to keep it, the record leaves out the messages before the response.
    """
    inquiry, attempts = ending.inquiry, ending.attempts
    turn, payload, choice, timing = inquiry.turn, inquiry.payload, attempts.choice, attempts.timing
    lineage = Lineage(None, None)
    if is_kept and inquiry.path == CHAT:
        lineage = lineage_of(turn, payload["messages"])
    prompt, cached, completion = _tokens(ending)
    content = _content(ending) if keeps_content else None
    assignment = inquiry.assignment
    itl = timing.itl_s
    return ResponseRecord(
        response_id=inquiry.response_id,
        request_id=inquiry.request_id,
        started_at=timing.started_at,
        key_name=inquiry.key_name,
        user=inquiry.user,
        conversation=turn.conversation,
        turn=turn.number,
        lineage=lineage.history,
        parent=lineage.parent,
        model=payload["model"],
        experiment=assignment.experiment if assignment else None,
        arm=assignment.arm if assignment else None,
        distribution=inquiry.distribution.version,
        probabilities=inquiry.distribution.by_component,
        uniform=inquiry.first_draw.uniform,
        drawn=inquiry.first_draw.component,
        component=choice.component if choice else None,
        propensity=choice.propensity if choice else None,
        failures=[{"component": f.component, "reason": f.reason} for f in attempts.failures],
        replica=attempts.replica,
        stream=bool(payload.get("stream")),
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        ttft_s=timing.ttft_s,
        itl_mean_s=itl[0] if itl else None,
        itl_p99_s=itl[1] if itl else None,
        e2e_s=timing.e2e_s,
        router_s=timing.router_s,
        finish_reason=ending.passage.finish_reason,
        state=state(ending),
        content=content,
        repetition=repetition(content) if content else None,
        needs=list(inquiry.needs),
        left=list(choice.left) if choice else None,
        ahead=inquiry.ahead.nonce if inquiry.ahead else None,
        policy=inquiry.policy,
        facts=inquiry.facts.to_json() if inquiry.facts else None,
        candidates=attempts.judged.record() if attempts.judged else None,
    )


def described(record: ResponseRecord) -> str:
    """A record in a sentence, for the log."""
    failures = ", ".join(f"{f['component']} ({f['reason']})" for f in record.failures)
    answer = f"{record.component}, p={record.propensity:.4g}" if record.component else "nobody"
    return (
        f"response {record.state}: drawn {record.drawn}, "
        f"not answered by {failures or 'nobody'}, answered by {answer}"
    )


def state(ending: Ending) -> records.State:
    """How the response ended; failures differ by whether the client had got a byte."""
    if ending.state != "failed":
        return ending.state
    begun = ending.attempts.choice is not None
    return "failed_after_first_byte" if begun else "failed_before_first_byte"


def _tokens(ending: Ending) -> tuple[int | None, int | None, int | None]:
    """Prompt, cached and response tokens: as reported, or at least those before a cut."""
    usage = ending.passage.usage
    if usage is None:
        return None, None, ending.passage.events or None
    cached = reported(usage.get("prompt_tokens_details"), "cached_tokens")
    return reported(usage, "prompt_tokens"), cached, reported(usage, "completion_tokens")


def _content(ending: Ending) -> dict[str, Any]:
    payload = ending.inquiry.payload
    asked = "messages" if ending.inquiry.path == CHAT else "prompt"
    judged = ending.attempts.judged
    rejected = {"rejected": list(judged.rejected)} if judged else {}
    return {asked: payload[asked], "response": texts(ending.passage.kept), **rejected}
