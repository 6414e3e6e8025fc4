"""Whether the address of a file is sealed; whom a person excludes, by pseudonym."""

from alembic import op

revision = "intake_0003"
down_revision = "intake_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE household_file ADD COLUMN address_sealed boolean NOT NULL DEFAULT false",
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
