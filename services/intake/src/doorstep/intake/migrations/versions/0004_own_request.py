"""By what a person's follow code finds them; of whom was recorded before, it is filled in by the worker."""

from alembic import op

revision = "intake_0004"
down_revision = "intake_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE subject ADD COLUMN follow_index bytea",
    "CREATE INDEX subject_follow ON subject (follow_index) WHERE follow_index IS NOT NULL",
    "CREATE INDEX subject_not_found ON subject (subject_id) WHERE follow_index IS NULL AND kind = 'person'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
