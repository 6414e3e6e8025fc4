"""Inquiries about one person: whom they are about, found by the blind index and concealed, on which ground, since when.

Who asked and who agreed are ids that stand nowhere else; nobody's name is here.
"""

from alembic import op

revision = "audit_0005"
down_revision = "audit_0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE inquiry (
        inquiry_id uuid PRIMARY KEY,
        subject bytea NOT NULL CHECK (octet_length(subject) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44),
        ground text NOT NULL CHECK (ground IN ('complaint', 'agreement')),
        asked_by uuid NOT NULL,
        asked_at timestamptz NOT NULL,
        agreed_by uuid CHECK (agreed_by <> asked_by),
        agreed_at timestamptz,
        CHECK ((agreed_by IS NULL) = (agreed_at IS NULL)),
        CHECK (ground = 'agreement' OR agreed_by IS NULL)
    )
    """,
    "CREATE INDEX inquiry_subject ON inquiry (subject)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
