"""How a department finds its open requests among all that it ever had: its list by state, oldest first."""

from alembic import op

revision = "referral_0016"
down_revision = "referral_0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX task_department_state ON task (department, state, opened_at, ref)")
