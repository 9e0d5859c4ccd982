"""The nonce of a draw that was made ahead of its request."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add a column; it is null in rows that were written before."""
    op.add_column("responses", sa.Column("ahead", sa.Text()))
