"""The candidates among which a response was chosen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add a column; it is null in rows that were written before."""
    op.add_column("responses", sa.Column("candidates", _DOCUMENT))
