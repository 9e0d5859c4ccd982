"""The journal's tables, by the names of the records' fields; times are Unix seconds.

`started_at` comes first in every primary key: an id determines it, PostgreSQL's partitions are
cut by it, and rows that are written, exported or pruned together then lie together.
"""

import re
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Dialect,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import SchemaItem

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class ForeignText(TypeDecorator[str]):
    """Text of users and models: characters that no database takes are replaced by U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it is stored."""
        return value if value is None else _UNSTORABLE.sub("\ufffd", value)


# Ids and hashes compare byte by byte, which sorts several times faster than a language's order.
_ID = Text().with_variant(Text(collation="C"), "postgresql")
_DOCUMENT = JSON().with_variant(postgresql.JSONB(), "postgresql")

metadata = MetaData()


def _table(name: str, *parts: SchemaItem) -> Table:
    table: Table = Table(
        name,
        metadata,
        Column("started_at", Double, primary_key=True),
        Column("response_id", _ID, primary_key=True),
        *parts,
        Column("schema_version", Integer, nullable=False),
        postgresql_partition_by="RANGE (started_at)",
    )
    return table


def _given(name: str, kind: Any) -> "Column[Any]":
    return Column(name, kind, nullable=False)


responses = _table(
    "responses",
    _given("request_id", ForeignText),
    _given("key_name", Text),
    Column("user", _ID),
    _given("conversation", _ID),
    _given("turn", Integer),
    Column("lineage", _ID),
    Column("parent", _ID),
    _given("model", Text),
    Column("experiment", Text),
    Column("arm", Text),
    _given("distribution", Text),
    _given("probabilities", _DOCUMENT),
    _given("uniform", Double),
    _given("drawn", Text),
    Column("component", Text),
    Column("propensity", Double),
    _given("failures", _DOCUMENT),
    Column("replica", Text),
    _given("stream", Boolean),
    Column("prompt_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("ttft_s", Double),
    Column("itl_mean_s", Double),
    Column("itl_p99_s", Double),
    _given("e2e_s", Double),
    _given("router_s", Double),
    Column("finish_reason", ForeignText),
    _given("state", Text),
    Column("repetition", Double),
    Column("needs", _DOCUMENT),
    Column("left", _DOCUMENT),
    Column("ahead", Text),
    Column("policy", Text),
    Column("facts", _DOCUMENT),
    Column("candidates", _DOCUMENT),
    Index("responses_by_user", "user", "started_at"),
    Index("responses_by_lineage", "lineage", "started_at"),
    Index("responses_by_parent", "parent", "started_at"),
)

# JSON, not JSONB, which would refuse the NUL and the lone surrogates that texts may contain.
contents = _table("contents", _given("content", JSON))

# A client's feedback replaces a derived one, which is derived again when a record arrives late.
feedback = _table(
    "feedback",
    Column("kind", Text, primary_key=True),
    _given("at", Double),
    Column("value", Double),
    Column("other_id", _ID),
    Column("text", ForeignText),
    _given("derived", Boolean),
)
_RETRIES, _TEXTS = text("kind = 'retry'"), text("text IS NOT NULL")
Index(
    "feedback_by_other",
    feedback.c.other_id,
    postgresql_where=_RETRIES,
    sqlite_where=_RETRIES,
)
Index("feedback_texts", feedback.c.started_at, postgresql_where=_TEXTS, sqlite_where=_TEXTS)

experiments = Table(
    "experiments",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    _given("first_at", Double),
    _given("last_at", Double),
    _given("definition", _DOCUMENT),
    _given("schema_version", Integer),
)

# The tables on responses, which are partitioned by their times.
TABLES = (responses, contents, feedback)
