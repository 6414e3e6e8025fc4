"""Whom a person excludes, by pseudonym."""

from alembic import op

revision = "gateway_0004"
down_revision = "gateway_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE exclusion (
        subject_id uuid NOT NULL,
        staff uuid NOT NULL,
        PRIMARY KEY (subject_id, staff)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
