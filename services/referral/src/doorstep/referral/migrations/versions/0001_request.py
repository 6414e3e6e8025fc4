"""Requests, their tasks with the whole history, ratings, and the departments' keys."""

from alembic import op

revision = "referral_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE request (
        request_id uuid PRIMARY KEY,
        need_id uuid NOT NULL,
        record_id uuid NOT NULL,
        file_id uuid NOT NULL,
        subject_id uuid NOT NULL,
        station text NOT NULL,
        opened_at timestamptz NOT NULL,
        continues uuid REFERENCES request,
        follow_ref uuid NOT NULL UNIQUE,
        follow_index bytea,
        confidential boolean NOT NULL,
        legal_basis text NOT NULL,
        content bytea NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX request_need_first ON request (need_id) WHERE continues IS NULL",
    "CREATE UNIQUE INDEX request_continues ON request (continues) WHERE continues IS NOT NULL",
    "CREATE INDEX request_need ON request (need_id)",
    "CREATE INDEX request_record ON request (record_id)",
    "CREATE INDEX request_follow ON request (follow_index) WHERE follow_index IS NOT NULL",
    """
    CREATE TABLE task (
        task_id uuid PRIMARY KEY,
        request_id uuid NOT NULL REFERENCES request,
        sequence integer NOT NULL,
        department text,
        ref uuid UNIQUE,
        state text NOT NULL,
        business_status text,
        version integer NOT NULL,
        assigned boolean NOT NULL DEFAULT false,
        proposal bytea,
        opened_at timestamptz NOT NULL,
        respond_by timestamptz NOT NULL,
        complete_by timestamptz NOT NULL,
        provisional boolean NOT NULL,
        closed_at timestamptz,
        UNIQUE (request_id, sequence),
        CHECK ((department IS NULL) = (ref IS NULL))
    )
    """,
    "CREATE INDEX task_department ON task (department, opened_at, ref)",
    "CREATE INDEX task_waiting ON task (state, opened_at) WHERE state IN ('draft', 'rejected')",
    """
    CREATE TABLE task_transition (
        task_id uuid NOT NULL REFERENCES task,
        version integer NOT NULL,
        from_state text,
        to_state text NOT NULL,
        at timestamptz NOT NULL,
        party text NOT NULL,
        person text,
        detail bytea,
        PRIMARY KEY (task_id, version)
    )
    """,
    """
    CREATE TABLE rating (
        request_id uuid PRIMARY KEY REFERENCES request,
        rated_at timestamptz NOT NULL,
        rating bytea NOT NULL
    )
    """,
    """
    CREATE TABLE department_key (
        department text NOT NULL,
        kid text NOT NULL,
        jwk jsonb NOT NULL,
        registered_at timestamptz NOT NULL,
        registered_by text NOT NULL,
        PRIMARY KEY (department, kid)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
