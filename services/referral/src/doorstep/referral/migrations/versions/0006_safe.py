"""Whether a confidential request may be shown by its code; the codes of proxies, by index, and until when they hold."""

from alembic import op

revision = "referral_0006"
down_revision = "referral_0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE request ADD COLUMN safely_shown boolean NOT NULL DEFAULT false",
    """
    CREATE TABLE proxy (
        subject_id uuid PRIMARY KEY,
        code bytea NOT NULL UNIQUE CHECK (octet_length(code) = 16),
        until timestamptz NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
