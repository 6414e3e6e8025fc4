"""By what requests are counted by need type, which stays unreadable; requests of before have none."""

from alembic import op

revision = "referral_0008"
down_revision = "referral_0007"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE request ADD COLUMN need_index bytea",
    "CREATE INDEX task_closed ON task (closed_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
