"""Service directories as they were published, which of them is in force, and which office has a task, unreadable."""

from alembic import op

revision = "referral_0009"
down_revision = "referral_0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE service_directory (
        version text PRIMARY KEY,
        digest text NOT NULL,
        document text NOT NULL,
        proposed_by uuid NOT NULL,
        proposed_at timestamptz NOT NULL,
        activated_by uuid,
        activated_at timestamptz,
        CHECK (activated_by <> proposed_by),
        CHECK ((activated_by IS NULL) = (activated_at IS NULL))
    )
    """,
    """
    CREATE TABLE directory_in_force (
        single boolean PRIMARY KEY DEFAULT true CHECK (single),
        version text NOT NULL REFERENCES service_directory
    )
    """,
    "ALTER TABLE task ADD COLUMN office_index bytea",
    "CREATE INDEX task_office ON task (office_index) WHERE office_index IS NOT NULL AND closed_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
