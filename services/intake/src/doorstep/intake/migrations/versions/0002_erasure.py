"""How the records of a subject are found, so that it can be erased."""

from alembic import op

revision = "intake_0002"
down_revision = "intake_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX record_subject_subject ON record_subject (subject_id)")
