"""Who of a department works on a request, who serves at its inbox, who stands in for whom; and notices that were issued.

Officers are looked up by their pseudonym, notices by a keyed digest of their number.
"""

from alembic import op

revision = "referral_0013"
down_revision = "referral_0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE office_member (
        department text NOT NULL,
        member uuid NOT NULL,
        person text NOT NULL,
        office text,
        heads boolean NOT NULL,
        seen_at timestamptz NOT NULL,
        PRIMARY KEY (department, member)
    )
    """,
    """
    CREATE TABLE handler (
        task_id uuid PRIMARY KEY,
        member uuid NOT NULL,
        person text NOT NULL,
        given_by text NOT NULL,
        given_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX handler_member ON handler (member)",
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
    """
    CREATE TABLE numbered_notice (
        notice_id uuid PRIMARY KEY,
        task_id uuid NOT NULL,
        kind text NOT NULL,
        code bytea NOT NULL UNIQUE,
        said bytea NOT NULL,
        file_digest bytea NOT NULL,
        file bytea NOT NULL,
        issued_at timestamptz NOT NULL,
        issued_by text NOT NULL,
        UNIQUE (task_id, kind)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
