"""Complaints of residents about how they were treated: apart from all else, sealed for the person of the request.

Clear are ids, times and, by pseudonym, who is named and who answered; until when it is owed is computed.
"""

from alembic import op

revision = "referral_0018"
down_revision = "referral_0017"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE complaint (
        complaint_id uuid PRIMARY KEY,
        request_id uuid NOT NULL REFERENCES request ON DELETE CASCADE,
        made_at timestamptz NOT NULL,
        content bytea NOT NULL,
        named uuid[] NOT NULL,
        answered_at timestamptz,
        answered_by uuid,
        answer bytea,
        CHECK ((answered_at IS NULL) = (answered_by IS NULL)),
        CHECK ((answered_at IS NULL) = (answer IS NULL))
    )
    """,
    "CREATE INDEX complaint_request ON complaint (request_id)",
    "CREATE INDEX complaint_open ON complaint (made_at) WHERE answered_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
