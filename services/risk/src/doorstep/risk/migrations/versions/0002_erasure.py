"""How what was found on a subject is found, so that it can be erased; who was erased, by random id."""

from alembic import op

revision = "risk_0002"
down_revision = "risk_0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX need_subject ON need (subject_id)",
    "CREATE INDEX assessed_subject_subject ON assessed_subject (subject_id)",
    "CREATE TABLE erased_subject (subject_id uuid PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
