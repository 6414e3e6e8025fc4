"""Care plans: proposals, who decides on them, the team, what it did together, contests. Content is sealed.

A level, a cause and reasons stand in no column: pseudonyms, random ids and times alone.
"""

from alembic import op

revision = "registry_0007"
down_revision = "registry_0006"
branch_labels = None
depends_on = None

_PLAN = "plan_id uuid NOT NULL REFERENCES care_plan ON DELETE CASCADE"

STATEMENTS = (
    """
    CREATE TABLE care_plan (
        plan_id uuid PRIMARY KEY,
        subject_id uuid NOT NULL,
        file_id uuid NOT NULL REFERENCES file,
        ended_at timestamptz
    )
    """,
    "CREATE INDEX care_plan_subject ON care_plan (subject_id)",
    f"""
    CREATE TABLE plan_proposal (
        proposal_id uuid PRIMARY KEY,
        {_PLAN},
        proposed_by uuid NOT NULL,
        proposed_at timestamptz NOT NULL,
        decided_at timestamptz,
        content bytea NOT NULL
    )
    """,
    "CREATE INDEX plan_proposal_plan ON plan_proposal (plan_id)",
    """
    CREATE TABLE plan_seat (
        proposal_id uuid NOT NULL REFERENCES plan_proposal ON DELETE CASCADE,
        person uuid NOT NULL,
        content bytea NOT NULL,
        decided_at timestamptz,
        PRIMARY KEY (proposal_id, person)
    )
    """,
    "CREATE INDEX plan_seat_person ON plan_seat (person)",
    f"CREATE TABLE plan_member ({_PLAN}, person uuid NOT NULL, PRIMARY KEY (plan_id, person))",
    "CREATE INDEX plan_member_person ON plan_member (person)",
    f"""
    CREATE TABLE plan_meeting (
        meeting_id uuid PRIMARY KEY,
        {_PLAN},
        recorded_by uuid NOT NULL,
        confirmed_by uuid CHECK (confirmed_by <> recorded_by),
        content bytea NOT NULL
    )
    """,
    "CREATE INDEX plan_meeting_plan ON plan_meeting (plan_id)",
    f"""
    CREATE TABLE plan_contest (
        contest_id uuid PRIMARY KEY,
        {_PLAN},
        contested_at timestamptz NOT NULL,
        answered_at timestamptz,
        answered_by uuid CHECK ((answered_by IS NULL) = (answered_at IS NULL)),
        content bytea CHECK ((content IS NULL) = (answered_at IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX plan_contest_open ON plan_contest (plan_id) WHERE answered_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
