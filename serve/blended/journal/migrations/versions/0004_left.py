"""Which components could be drawn when the one that answered was chosen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add a column; it is null in rows that were written before."""
    op.add_column("responses", sa.Column("left", _DOCUMENT))
