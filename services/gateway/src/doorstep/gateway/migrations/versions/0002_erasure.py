"""Who was erased, by random id: of them no step is taken any more, however late it comes."""

from alembic import op

revision = "gateway_0002"
down_revision = "gateway_0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX journey_step_subject ON journey_step ((step ->> 'subject_id'))",
    "CREATE TABLE erased_subject (subject_id uuid PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
