"""Responses, their contents, and the feedback on them."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
_BY_MONTH: Any = {"postgresql_partition_by": "RANGE (started_at)"}


def upgrade() -> None:
    """Create the three tables; on PostgreSQL they are partitioned, as yet without a partition."""
    _responses()
    _contents()
    _feedback()


def _responses() -> None:
    op.create_table(
        "responses",
        sa.Column("started_at", sa.Double, primary_key=True),
        sa.Column("response_id", _ID, primary_key=True),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("key_name", sa.Text, nullable=False),
        sa.Column("user", _ID),
        sa.Column("conversation", _ID, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("lineage", _ID),
        sa.Column("parent", _ID),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("experiment", sa.Text),
        sa.Column("arm", sa.Text),
        sa.Column("distribution", sa.Text, nullable=False),
        sa.Column("probabilities", _DOCUMENT, nullable=False),
        sa.Column("uniform", sa.Double, nullable=False),
        sa.Column("drawn", sa.Text, nullable=False),
        sa.Column("component", sa.Text),
        sa.Column("propensity", sa.Double),
        sa.Column("failures", _DOCUMENT, nullable=False),
        sa.Column("replica", sa.Text),
        sa.Column("stream", sa.Boolean, nullable=False),
        sa.Column("prompt_tokens", sa.Integer),
        sa.Column("cached_tokens", sa.Integer),
        sa.Column("completion_tokens", sa.Integer),
        sa.Column("ttft_s", sa.Double),
        sa.Column("itl_mean_s", sa.Double),
        sa.Column("itl_p99_s", sa.Double),
        sa.Column("e2e_s", sa.Double, nullable=False),
        sa.Column("router_s", sa.Double, nullable=False),
        sa.Column("finish_reason", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        **_BY_MONTH,
    )
    for name in ("user", "lineage", "parent"):
        op.create_index(f"responses_by_{name}", "responses", [name, "started_at"])


def _contents() -> None:
    op.create_table(
        "contents",
        sa.Column("started_at", sa.Double, primary_key=True),
        sa.Column("response_id", _ID, primary_key=True),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        **_BY_MONTH,
    )


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("started_at", sa.Double, primary_key=True),
        sa.Column("response_id", _ID, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("other_id", _ID),
        sa.Column("text", sa.Text),
        sa.Column("derived", sa.Boolean, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        **_BY_MONTH,
    )
    _partial_index("feedback_by_other", "other_id", "kind = 'retry'")
    _partial_index("feedback_texts", "started_at", "text IS NOT NULL")


def _partial_index(name: str, column: str, condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "feedback", [column], postgresql_where=where, sqlite_where=where)
