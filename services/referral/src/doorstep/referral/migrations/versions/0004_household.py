"""How the requests of a file are found, so that its address can be sealed; whom a person excludes."""

from alembic import op

revision = "referral_0004"
down_revision = "referral_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX request_file ON request (file_id)",
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
