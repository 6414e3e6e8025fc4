"""How what was found for a file is found, so that its address can be sealed; whom a person excludes."""

from alembic import op

revision = "risk_0003"
down_revision = "risk_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX assessment_file ON assessment (file_id)",
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
