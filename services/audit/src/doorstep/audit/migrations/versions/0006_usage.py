"""From a follow code, and from the number of a paper, to the subjects whose use is told; and what is told later.

No column names anybody: codes, papers, persons and cases lie under keyed indexes, subjects are concealed as in
`detail`, what a deferral is for is sealed under its subject's key. Whoever is erased is found by `subject` in each.
"""

from alembic import op

revision = "audit_0006"
down_revision = "audit_0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE follower (
        code bytea PRIMARY KEY CHECK (octet_length(code) = 16),
        subject bytea NOT NULL CHECK (octet_length(subject) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44)
    )
    """,
    "CREATE INDEX follower_subject ON follower (subject)",
    """
    CREATE TABLE resident (
        subject bytea PRIMARY KEY CHECK (octet_length(subject) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44),
        person bytea NOT NULL CHECK (octet_length(person) = 16),
        paper bytea CHECK (octet_length(paper) = 16)
    )
    """,
    "CREATE INDEX resident_person ON resident (person)",
    "CREATE INDEX resident_paper ON resident (paper) WHERE paper IS NOT NULL",
    """
    CREATE TABLE deferral (
        deferral_id uuid PRIMARY KEY,
        subject bytea NOT NULL CHECK (octet_length(subject) = 16),
        holder bytea NOT NULL CHECK (octet_length(holder) = 44),
        matter bytea NOT NULL CHECK (octet_length(matter) = 16),
        sealed bytea NOT NULL,
        asked_by uuid NOT NULL,
        asked_at timestamptz NOT NULL,
        approved_by uuid CHECK (approved_by <> asked_by),
        approved_at timestamptz CHECK (approved_at >= asked_at)
    )
    """,
    "CREATE INDEX deferral_subject ON deferral (subject)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
