"""Household files, persons, their mentions, and facts."""

from alembic import op

revision = "registry_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE TABLE file (file_id uuid PRIMARY KEY, station text NOT NULL, version integer NOT NULL)",
    "CREATE TABLE person (person_id uuid PRIMARY KEY)",
    """
    CREATE TABLE person_paper (
        paper_index bytea PRIMARY KEY, person_id uuid NOT NULL REFERENCES person
    )
    """,
    """
    CREATE TABLE subject (
        subject_id uuid NOT NULL,
        file_id uuid NOT NULL REFERENCES file,
        kind text NOT NULL,
        person_id uuid REFERENCES person,
        record_id uuid NOT NULL,
        file_version integer NOT NULL,
        card bytea NOT NULL,
        PRIMARY KEY (subject_id, file_id)
    )
    """,
    "CREATE INDEX subject_file ON subject (file_id)",
    "CREATE INDEX subject_person ON subject (person_id)",
    """
    CREATE TABLE fact (
        fact_id uuid NOT NULL,
        subject_id uuid NOT NULL,
        file_id uuid NOT NULL REFERENCES file,
        record_id uuid NOT NULL,
        file_version integer NOT NULL,
        refresh_by timestamptz NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (subject_id, fact_id)
    )
    """,
    "CREATE INDEX fact_file ON fact (file_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
