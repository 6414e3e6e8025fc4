"""Up to where manifests were published, and how the entries of a minute are found."""

from alembic import op

revision = "kit_0003"
down_revision = "kit_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE manifest_state (
        single boolean PRIMARY KEY DEFAULT true CHECK (single), number bigint NOT NULL, ends timestamptz NOT NULL
    )
    """,
    "INSERT INTO manifest_state (number, ends) VALUES (0, date_trunc('minute', now()))",
    "CREATE INDEX outbox_entry_time ON outbox (time) WHERE type = 'audit.entry-submitted.v1'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
