"""How the requests of a subject are found, so that it can be erased; who was erased, by random id."""

from alembic import op

revision = "referral_0002"
down_revision = "referral_0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "CREATE INDEX request_subject ON request (subject_id)",
    "CREATE TABLE erased_subject (subject_id uuid PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
