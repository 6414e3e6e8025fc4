"""Parked messages that wait for another have no time; those that have one are found by it."""

from alembic import op

revision = "kit_0002"
down_revision = "kit_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX parked_due ON parked (next_attempt_at) WHERE next_attempt_at < 'infinity'")
