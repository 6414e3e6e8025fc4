"""Records and their subjects."""

from alembic import op

revision = "intake_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE household_file (file_id uuid PRIMARY KEY, station text NOT NULL, begun_at timestamptz NOT NULL)
    """,
    """
    CREATE TABLE record (
        record_id uuid PRIMARY KEY,
        file_id uuid NOT NULL REFERENCES household_file,
        station text NOT NULL,
        channel text NOT NULL,
        visited_at timestamptz NOT NULL,
        recorded_at timestamptz NOT NULL,
        recorded_by uuid NOT NULL
    )
    """,
    "CREATE INDEX record_file ON record (file_id)",
    """
    CREATE TABLE subject (
        subject_id uuid PRIMARY KEY, kind text NOT NULL, file_id uuid NOT NULL, record_id uuid NOT NULL
    )
    """,
    """
    CREATE TABLE record_subject (
        record_id uuid NOT NULL REFERENCES record,
        subject_id uuid NOT NULL REFERENCES subject,
        place integer NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (record_id, subject_id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
