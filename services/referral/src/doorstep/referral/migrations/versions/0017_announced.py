"""What was announced of deadlines and when to look again, pauses, calls of the duty desk, reminders, needs heard of.

A trigger has each task looked at whenever a step or another due time moves it; the worker says when to look next. What
is to be answered within an hour is looked at before all else. Nothing here is personal; who is erased has no row left.
"""

from alembic import op

revision = "referral_0017"
down_revision = "referral_0016"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE task ADD COLUMN look_at timestamptz, ADD COLUMN missing_papers bytea, ADD COLUMN paused_at timestamptz",
    "ALTER TABLE task ADD COLUMN paused_until timestamptz, ADD COLUMN complete_by_unpaused timestamptz",
    """
    CREATE FUNCTION look_at_task() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.look_at := CASE
            WHEN NEW.closed_at IS NOT NULL AND NEW.state <> 'rejected' THEN NULL
            WHEN NEW.respond_by - NEW.opened_at <= interval '1 hour' THEN '-infinity'
            ELSE NEW.opened_at
        END;
        RETURN NEW;
    END $$
    """,
    """
    CREATE TRIGGER look_at_task BEFORE INSERT OR UPDATE OF state, opened_at, respond_by, complete_by, paused_until
    ON task FOR EACH ROW EXECUTE FUNCTION look_at_task()
    """,
    "UPDATE task SET look_at = opened_at WHERE closed_at IS NULL OR state = 'rejected'",
    "CREATE INDEX task_look ON task (look_at) WHERE look_at IS NOT NULL",
    "CREATE INDEX request_station ON request (station, opened_at, request_id)",
    """
    CREATE TABLE announcement (
        task_id uuid NOT NULL,
        deadline text NOT NULL,
        step text NOT NULL,
        due_by timestamptz NOT NULL,
        announced_at timestamptz NOT NULL,
        late boolean NOT NULL,
        PRIMARY KEY (task_id, deadline, step, due_by)
    )
    """,
    """
    CREATE TABLE duty_call (
        task_id uuid PRIMARY KEY,
        station text NOT NULL,
        since timestamptz NOT NULL,
        next_at timestamptz,
        attempts integer NOT NULL DEFAULT 0,
        acknowledged_at timestamptz,
        acknowledged_by text,
        CHECK ((acknowledged_at IS NULL) = (acknowledged_by IS NULL))
    )
    """,
    "CREATE INDEX duty_call_next ON duty_call (next_at) WHERE next_at IS NOT NULL",
    """
    CREATE TABLE duty_call_attempt (
        task_id uuid NOT NULL,
        attempt integer NOT NULL,
        at timestamptz NOT NULL,
        placed boolean NOT NULL,
        PRIMARY KEY (task_id, attempt)
    )
    """,
    """
    CREATE TABLE reminder (
        task_id uuid NOT NULL,
        day date NOT NULL,
        at timestamptz NOT NULL,
        person text NOT NULL,
        PRIMARY KEY (task_id, day)
    )
    """,
    """
    CREATE TABLE heard_need (
        need_id uuid PRIMARY KEY,
        subject_id uuid NOT NULL,
        station text NOT NULL,
        heard_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX heard_need_subject ON heard_need (subject_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
