"""Who of a department works on a request, who serves at its inbox, and who stands in for whom, and when."""

from alembic import op

revision = "referral_0013"
down_revision = "referral_0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE office_member (
        department text NOT NULL,
        person text NOT NULL,
        office text,
        heads boolean NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (department, person)
    )
    """,
    """
    CREATE TABLE handler (
        task_id uuid PRIMARY KEY,
        person text NOT NULL,
        given_by text NOT NULL,
        given_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX handler_person ON handler (person)",
    """
    CREATE TABLE deputy (
        deputy_id uuid PRIMARY KEY,
        department text NOT NULL,
        officer text NOT NULL,
        deputy text NOT NULL,
        since timestamptz NOT NULL,
        until timestamptz NOT NULL,
        named_by text NOT NULL,
        CHECK (officer <> deputy),
        CHECK (since < until)
    )
    """,
    "CREATE INDEX deputy_until ON deputy (department, until)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
