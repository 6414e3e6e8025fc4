"""Whose code was renewed because they left their household, by index: the person that their mentions are of since.

The code on a receipt of before stays known, closed, so that no later entry opens it anew. Guardians of children are
known by their codes and papers, and until when is sealed: it tells when the child was born.
"""

from alembic import op

revision = "audit_0009"
down_revision = "audit_0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE follower ADD COLUMN closed boolean NOT NULL DEFAULT false",
    """
    CREATE TABLE moved (
        subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
        person bytea NOT NULL CHECK (octet_length(person) = 16),
        moved_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE guardian (
        subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44),
        code bytea CHECK (octet_length(code) = 16),
        paper bytea CHECK (octet_length(paper) = 16),
        until bytea CHECK ((until IS NULL) = (code IS NULL)),
        closed boolean NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX guardian_code ON guardian (code) WHERE code IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
