"""Erasures: who was asked to be erased by whom, and whose word made it so. Pseudonyms and random ids alone."""

from alembic import op

revision = "registry_0002"
down_revision = "registry_0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE erasure (
        erasure_id uuid PRIMARY KEY,
        subject_id uuid NOT NULL,
        file_id uuid NOT NULL REFERENCES file,
        asked_by uuid NOT NULL,
        asked_at timestamptz NOT NULL,
        confirmed_by uuid CHECK (confirmed_by <> asked_by),
        confirmed_at timestamptz CHECK ((confirmed_at IS NULL) = (confirmed_by IS NULL)),
        UNIQUE (subject_id, file_id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
