"""What a service ran with last: its policy, its rules, its keys."""

from alembic import op

revision = "kit_0004"
down_revision = "kit_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE activation (
            kind text PRIMARY KEY, digest text NOT NULL, activated_at timestamptz NOT NULL DEFAULT now()
        )
        """
    )
