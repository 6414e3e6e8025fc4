"""Parts of requests: each has tasks of its own one after the other, and its own need type, which stays unreadable."""

from alembic import op

revision = "referral_0010"
down_revision = "referral_0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    # What there was is the lead's part, of which the request itself says the need and the legal basis.
    """
    ALTER TABLE task ADD COLUMN part integer NOT NULL DEFAULT 1 CHECK (part >= 1), ADD COLUMN part_need bytea,
        ADD COLUMN part_index bytea, ADD COLUMN part_basis text,
        ADD CHECK ((part = 1) = (part_need IS NULL)), ADD CHECK ((part = 1) = (part_basis IS NULL))
    """,
    "CREATE UNIQUE INDEX task_part ON task (request_id, part, sequence)",
    "ALTER TABLE task DROP CONSTRAINT task_request_id_sequence_key",
    "ALTER TABLE request ADD COLUMN parts integer NOT NULL DEFAULT 1",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
