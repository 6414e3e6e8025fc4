"""Whether the address of a file is sealed."""

from alembic import op

revision = "intake_0003"
down_revision = "intake_0002"
branch_labels = None
depends_on = None

STATEMENTS = ("ALTER TABLE household_file ADD COLUMN address_sealed boolean NOT NULL DEFAULT false",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
