"""The trace of a response: its OpenTelemetry spans, and the collector that Ray Serve sends them to.

Attributes follow OpenTelemetry's semantic conventions for generative AI. Spans contain no text of
messages; without a collector they cost some microseconds.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from blended import config
from blended.internal import REWARD
from blended.journal.records import ResponseRecord

ENDPOINT_ENV = "OTEL_EXPORTER_OTLP_ENDPOINT"

_SCOPE = "blended"
_TRACER = trace.get_tracer(_SCOPE)
_W3C = TraceContextTextMapPropagator()


def environment(service: str, tracing: config.Tracing | None) -> dict[str, str]:
    """The environment variables with which a deployment's processes and vLLM send traces."""
    if tracing is None:
        return {}
    return {
        "RAY_SERVE_TRACING_EXPORTER_IMPORT_PATH": "blended.tracing:span_processors",
        "RAY_SERVE_TRACING_SAMPLING_RATIO": str(tracing.sampling_ratio),
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
    }


def span_processors() -> list[SpanProcessor]:
    """Ray Serve's hook: spans go to the collector in OTEL_EXPORTER_OTLP_ENDPOINT, by OTLP/HTTP."""
    # Imported only with tracing: the exporter's imports take half a second.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if not os.environ.get(ENDPOINT_ENV):
        return []
    return [_OfResponses(BatchSpanProcessor(OTLPSpanExporter()))]


class _OfResponses(SpanProcessor):
    """Passes on only the spans that belong to a response.

    Ray begins a trace for every health check of a component.
    """

    def __init__(self, inner: SpanProcessor) -> None:
        self._inner = inner

    def on_end(self, span: ReadableSpan) -> None:
        if span.parent is not None or (span.attributes or {}).get("deployment") == "Router":
            self._inner.on_end(span)

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


@dataclass
class ResponseTrace:
    """The spans of one response: one for the whole, and one for each request to a component."""

    operation: str
    _span: Span
    _attempt: Span | None = field(default=None, init=False)

    @classmethod
    def begin(cls, headers: Mapping[str, str], operation: str, model: str) -> "ResponseTrace":
        """Join the trace that Ray Serve or the client has begun, or begin one."""
        span = _TRACER.start_span(f"{operation} {model}", _parent(headers), SpanKind.SERVER)
        if span.is_recording():
            span.set_attributes(
                {
                    "gen_ai.operation.name": operation,
                    "gen_ai.provider.name": "blended",
                    "gen_ai.request.model": model,
                }
            )
        return cls(operation, span)

    @property
    def id(self) -> str | None:
        """The trace's id in hexadecimal; None where there is no trace."""
        context = self._span.get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None

    def ask(self, kind: str, component: str, url: str, propensity: float) -> None:
        """Begin the span of a request to a component."""
        self._attempt = self._to_component(self.operation, kind, component, url)
        if self._attempt.is_recording():
            self._attempt.set_attribute("blended.propensity", propensity)

    def _to_component(self, operation: str, kind: str, component: str, url: str) -> Span:
        parent = trace.set_span_in_context(self._span)
        span = _TRACER.start_span(f"{operation} {component}", parent, SpanKind.CLIENT)
        if span.is_recording():
            address = urlsplit(url)
            span.set_attributes(
                {
                    "gen_ai.operation.name": operation,
                    "gen_ai.provider.name": kind,
                    "gen_ai.request.model": component,
                    "server.address": address.hostname or "",
                    "server.port": address.port or (443 if address.scheme == "https" else 80),
                }
            )
        return span

    def fail(self, reason: str) -> None:
        """End the span of a component that gave no byte."""
        if self._attempt is not None:
            _end(self._attempt, {"error.type": reason})
            self._attempt = None

    def headers(self) -> dict[str, str]:
        """The trace context for the component of the current request."""
        return _context_of(self._attempt or self._span)

    @contextmanager
    def read_ahead(self, kind: str, component: str, url: str) -> Iterator[dict[str, str]]:
        """The span in which a component reads ahead after the response; yields its context."""
        with _quietly(self._to_component("read_ahead", kind, component, url), "cut") as context:
            yield context

    @contextmanager
    def score(self, url: str) -> Iterator[dict[str, str]]:
        """The span in which the reward model scores candidates; yields its context."""
        with _quietly(self._to_component("score", "blended", REWARD, url), "no_scores") as context:
            yield context

    def end(self, record: ResponseRecord) -> None:
        """End the spans, with attributes from the response's record."""
        if self._attempt is not None:
            _end(self._attempt, _of_response(record) if self._attempt.is_recording() else {})
        if self._span.is_recording():
            self._span.add_event("draw", _of_draw(record))
            self._span.set_attributes(_of_request(record))
            _end(self._span, _of_response(record))
        else:
            self._span.end()


@contextmanager
def _quietly(span: Span, error: str) -> Iterator[dict[str, str]]:
    """A span around the block; an exception's message may quote a conversation: not for a span."""
    ending = {"error.type": error}
    try:
        yield _context_of(span)
        ending = {}
    finally:
        _end(span, ending)


def _context_of(span: Span) -> dict[str, str]:
    context = span.get_span_context()
    if not context.is_valid:
        return {}
    # Also sent for an unsampled trace: without it the component would make its own decision.
    return {
        "traceparent": f"00-{trace.format_trace_id(context.trace_id)}-"
        f"{trace.format_span_id(context.span_id)}-{context.trace_flags:02x}"
    }


def _parent(headers: Mapping[str, str]) -> Any:
    current = trace.get_current_span()
    if current.get_span_context().is_valid:
        return trace.set_span_in_context(current)
    return _W3C.extract(headers)


def _end(span: Span, attributes: Mapping[str, Any]) -> None:
    if span.is_recording():
        span.set_attributes(attributes)
        if "error.type" in attributes:
            span.set_status(StatusCode.ERROR)
    span.end()


def _of_draw(record: ResponseRecord) -> dict[str, Any]:
    return {
        "blended.drawn": record.drawn,
        "blended.uniform": record.uniform,
        "blended.distribution": record.distribution,
        **({"blended.policy": record.policy} if record.policy else {}),
    }


def _of_request(record: ResponseRecord) -> dict[str, Any]:
    return {
        "gen_ai.conversation.id": record.conversation,
        "blended.request_id": record.request_id,
        "blended.turn": record.turn,
        "blended.attempts": len(record.failures) + (record.component is not None),
    }


def _of_response(record: ResponseRecord) -> dict[str, Any]:
    candidates = record.candidates or {}
    found = {
        "gen_ai.response.id": record.response_id,
        "gen_ai.response.model": record.component,
        "gen_ai.response.finish_reasons": [record.finish_reason] if record.finish_reason else None,
        "gen_ai.response.time_to_first_chunk": record.ttft_s if record.stream else None,
        "gen_ai.usage.input_tokens": record.prompt_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cached_tokens,
        "gen_ai.usage.output_tokens": record.completion_tokens,
        "blended.state": record.state,
        "blended.replica": record.replica,
        "blended.candidates": candidates.get("k"),
        "blended.chosen_by": candidates.get("chosen_by"),
        "error.type": None if record.state in ("finished", "cancelled") else record.state,
    }
    return {name: value for name, value in found.items() if value is not None}
