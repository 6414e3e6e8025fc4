"""What was told of a station's months, and by what ratings are counted, which stay unreadable; those of before have none."""

from alembic import op

revision = "referral_0014"
down_revision = "referral_0013"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE month_told (
        station text NOT NULL,
        month date NOT NULL,
        counted_at timestamptz NOT NULL,
        told jsonb NOT NULL,
        PRIMARY KEY (station, month)
    )
    """,
    "ALTER TABLE rating ADD COLUMN rating_index bytea",
    "CREATE INDEX request_opened ON request (station, opened_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
