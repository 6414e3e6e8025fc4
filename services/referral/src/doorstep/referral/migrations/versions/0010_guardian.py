"""The codes of guardians, by index, and until when they hold, sealed: the day tells when the child was born.

`closed` says of a mention that the code on its receipt, and those of proxies, open nothing any more.
"""

from alembic import op

revision = "referral_0010"
down_revision = "referral_0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE guardian (
        subject_id uuid PRIMARY KEY,
        code bytea CHECK (octet_length(code) = 16),
        until bytea CHECK ((until IS NULL) = (code IS NULL)),
        closed boolean NOT NULL,
        recorded_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX guardian_code ON guardian (code) WHERE code IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
