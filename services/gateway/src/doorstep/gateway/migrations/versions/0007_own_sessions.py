"""Whose a session is, by keyed index, and what its owner is shown of it."""

from alembic import op

revision = "gateway_0007"
down_revision = "gateway_0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE browser_session ADD COLUMN shown_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid()",
    "ALTER TABLE browser_session ADD COLUMN owner bytea",  # of those that are open at the change nobody knows it
    "ALTER TABLE browser_session ADD COLUMN began_at timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE browser_session ADD COLUMN browser text NOT NULL DEFAULT 'other'",
    "CREATE INDEX browser_session_owner ON browser_session (owner)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
