"""Assessments, the needs they found, and the decisions on them."""

from alembic import op

revision = "risk_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE assessment (
        assessment_id uuid PRIMARY KEY,
        record_id uuid NOT NULL UNIQUE,
        file_id uuid NOT NULL,
        station text NOT NULL,
        recorded_by uuid NOT NULL,
        rule_pack text NOT NULL,
        assessed_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE assessed_subject (
        assessment_id uuid NOT NULL REFERENCES assessment,
        subject_id uuid NOT NULL,
        kind text NOT NULL,
        not_evaluated bytea NOT NULL,
        PRIMARY KEY (assessment_id, subject_id)
    )
    """,
    """
    CREATE TABLE need (
        need_id uuid PRIMARY KEY,
        assessment_id uuid NOT NULL REFERENCES assessment,
        subject_id uuid NOT NULL,
        kind text NOT NULL,
        wanted boolean NOT NULL,
        content bytea NOT NULL
    )
    """,
    "CREATE INDEX need_assessment ON need (assessment_id)",
    """
    CREATE TABLE decision (
        need_id uuid PRIMARY KEY REFERENCES need,
        decision text NOT NULL,
        reason bytea NOT NULL,
        decided_by uuid NOT NULL,
        decided_at timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
