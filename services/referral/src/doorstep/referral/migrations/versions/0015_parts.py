"""Parts of requests, each with tasks and an unreadable need type of its own, and conferences of those who have them."""

from alembic import op

revision = "referral_0015"
down_revision = "referral_0014"
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
    # Conferences of those who have parts, and what was said at them; without a task the station said it.
    """
    CREATE TABLE conference (
        conference_id uuid PRIMARY KEY,
        request_id uuid NOT NULL REFERENCES request,
        called_at timestamptz NOT NULL,
        called_by text NOT NULL,
        closed_at timestamptz,
        plan bytea NOT NULL
    )
    """,
    "CREATE INDEX conference_request ON conference (request_id)",
    """
    CREATE TABLE conference_seat (
        conference_id uuid NOT NULL REFERENCES conference,
        task_id uuid NOT NULL REFERENCES task,
        PRIMARY KEY (conference_id, task_id)
    )
    """,
    "CREATE INDEX conference_seat_task ON conference_seat (task_id)",
    """
    CREATE TABLE minute (
        conference_id uuid NOT NULL REFERENCES conference,
        number integer NOT NULL,
        at timestamptz NOT NULL,
        task_id uuid REFERENCES task,
        person text NOT NULL,
        visible_to uuid[] NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (conference_id, number)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
