"""Whose the records of a file are, and emergency accesses: who broke the glass, who was told, who reviewed it."""

from alembic import op

revision = "registry_0004"
down_revision = "registry_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE TABLE file_record (record_id uuid PRIMARY KEY, file_id uuid NOT NULL REFERENCES file, recorded_by uuid)",
    "CREATE INDEX file_record_file ON file_record (file_id)",
    """
    INSERT INTO file_record (record_id, file_id)
    SELECT record_id, file_id FROM subject UNION SELECT record_id, file_id FROM fact
    ON CONFLICT DO NOTHING
    """,
    """
    CREATE TABLE break_glass (
        break_glass_id uuid PRIMARY KEY,
        file_id uuid NOT NULL REFERENCES file,
        reason text NOT NULL,
        opened_by uuid NOT NULL,
        second uuid NOT NULL CHECK (second <> opened_by),
        people bytea NOT NULL,
        people_key uuid NOT NULL,
        opened_at timestamptz NOT NULL,
        until timestamptz NOT NULL,
        acknowledged_at timestamptz,
        reviewed_by uuid CHECK (reviewed_by <> opened_by AND reviewed_by <> second),
        reviewed_at timestamptz CHECK ((reviewed_at IS NULL) = (reviewed_by IS NULL)),
        finding text CHECK ((finding IS NULL) = (reviewed_by IS NULL))
    )
    """,
    "CREATE INDEX break_glass_file ON break_glass (file_id)",
    "CREATE INDEX break_glass_unreviewed ON break_glass (opened_at) WHERE reviewed_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
