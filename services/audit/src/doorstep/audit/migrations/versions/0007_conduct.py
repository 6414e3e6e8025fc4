"""What staff declare that they must not handle: blind indexes alone, of the actor, and of each case for that actor."""

from alembic import op

revision = "audit_0007"
down_revision = "audit_0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE tie (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        actor bytea NOT NULL CHECK (octet_length(actor) = 16),
        tied bytea NOT NULL CHECK (octet_length(tied) = 16),
        declared_at timestamptz NOT NULL,
        ended_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX tie_declared ON tie (actor, tied) WHERE ended_at IS NULL",
    "CREATE INDEX tie_actor ON tie (actor)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
