"""Sessions of browsers: found by a keyed index of the cookie's value, their tokens sealed."""

from alembic import op

revision = "gateway_0003"
down_revision = "gateway_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE browser_session (
        id bytea PRIMARY KEY,
        tokens bytea NOT NULL,
        version integer NOT NULL DEFAULT 1,
        used_at timestamptz NOT NULL DEFAULT now(),
        ends_at timestamptz NOT NULL,
        renewing_until timestamptz
    )
    """,
    "CREATE INDEX browser_session_used ON browser_session (used_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
