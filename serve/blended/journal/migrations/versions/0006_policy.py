"""The policy that drew a response, and what was known of the request."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"

_DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    """Add two columns; they are null in rows that were written before."""
    op.add_column("responses", sa.Column("policy", sa.Text()))
    op.add_column("responses", sa.Column("facts", _DOCUMENT))
