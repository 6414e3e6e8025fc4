"""What was counted before the calendar of its year was published is found by an index of its own.

All that was counted so far left shifted days out, and is counted anew when a worker starts.
"""

from alembic import op

revision = "referral_0007"
down_revision = "referral_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX task_provisional ON task (task_id)"
        " WHERE provisional AND (closed_at IS NULL OR state = 'rejected')"
    )
