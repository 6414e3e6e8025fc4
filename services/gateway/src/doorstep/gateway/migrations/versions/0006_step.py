"""A random id for each step of a journey: its place, which is counted, is shown to nobody."""

from alembic import op

revision = "gateway_0006"
down_revision = "gateway_0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE journey_step ADD COLUMN step_id uuid NOT NULL DEFAULT gen_random_uuid()",
    "CREATE UNIQUE INDEX journey_step_id ON journey_step (step_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
