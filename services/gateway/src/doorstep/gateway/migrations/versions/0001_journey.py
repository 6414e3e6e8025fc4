"""Journeys of records."""

from alembic import op

revision = "gateway_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE journey (
        record_id uuid PRIMARY KEY, station text NOT NULL, recorded_by uuid NOT NULL, begun_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE journey_step (
        position bigint GENERATED ALWAYS AS IDENTITY,
        record_id uuid NOT NULL,
        step jsonb NOT NULL,
        PRIMARY KEY (record_id, position)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
