"""Notices to residents and by what they want them; requests that a human looks at again.

Steps from before have no notice. What is told, to whom and by what is in no row: `cause` is a task and `version` its
step's (0: not answered in time), or a look that was answered.
"""

from alembic import op

revision = "referral_0012"
down_revision = "referral_0010"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE task_transition ADD COLUMN noticed boolean NOT NULL DEFAULT true",
    "ALTER TABLE task_transition ALTER COLUMN noticed SET DEFAULT false",
    "CREATE INDEX task_transition_unnoticed ON task_transition (at) WHERE NOT noticed AND from_state IS NOT NULL",
    "CREATE INDEX task_unanswered ON task (respond_by) WHERE state IN ('draft', 'requested') AND closed_at IS NULL",
    """
    CREATE TABLE notice (
        notice_id uuid PRIMARY KEY,
        cause uuid NOT NULL,
        version integer NOT NULL,
        request_id uuid NOT NULL REFERENCES request,
        subject_id uuid NOT NULL,
        made_at timestamptz NOT NULL,
        next_at timestamptz NOT NULL,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'withheld', 'dead')),
        attempts integer NOT NULL DEFAULT 0,
        withheld text,
        sent_at timestamptz,
        UNIQUE (cause, version)
    )
    """,
    "CREATE INDEX notice_due ON notice (next_at) WHERE state = 'waiting'",
    "CREATE INDEX notice_request ON notice (request_id)",
    """
    INSERT INTO notice (notice_id, cause, version, request_id, subject_id, made_at, next_at, state, withheld)
    SELECT gen_random_uuid(), t.task_id, 0, r.request_id, r.subject_id, now(), now(), 'withheld', 'from-before'
    FROM task t JOIN request r USING (request_id)
    WHERE t.state IN ('draft', 'requested') AND t.closed_at IS NULL AND t.respond_by < now()
    """,
    """
    CREATE TABLE notice_choice (
        subject_id uuid PRIMARY KEY,
        channel text NOT NULL
    )
    """,
    """
    CREATE TABLE look (
        look_id uuid PRIMARY KEY,
        request_id uuid NOT NULL REFERENCES request,
        subject_id uuid NOT NULL,
        station text NOT NULL,
        version integer NOT NULL,
        asked_at timestamptz NOT NULL,
        due_by timestamptz NOT NULL,
        answered_at timestamptz,
        answered_by uuid,
        answer bytea,
        UNIQUE (request_id, version),
        CHECK ((answered_at IS NULL) = (answered_by IS NULL)),
        CHECK ((answered_at IS NULL) = (answer IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX look_open ON look (request_id) WHERE answered_at IS NULL",
    "CREATE INDEX look_waiting ON look (station, due_by) WHERE answered_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
