"""Which directories were tried on open requests, by their digest: only such a one replaces what is in force.

What was in force once needs no trial: a station can go back at once. Minutes are found by the part that wrote them.
"""

from alembic import op

revision = "referral_0021"
down_revision = "referral_0020"
branch_labels = None
depends_on = None


STATEMENTS = (
    "CREATE TABLE directory_trial (digest text NOT NULL, tried_at timestamptz NOT NULL)",
    "CREATE INDEX minute_task ON minute (task_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
