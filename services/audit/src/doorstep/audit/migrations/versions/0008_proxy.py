"""Whose usages the code of a proxy shows, and until when: by index, the subject concealed, as for follow codes."""

from alembic import op

revision = "audit_0008"
down_revision = "audit_0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE proxy (
        subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
        code bytea NOT NULL UNIQUE CHECK (octet_length(code) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44),
        until timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
