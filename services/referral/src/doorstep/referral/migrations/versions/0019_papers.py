"""The documents that departments attach to requests, sealed, and the words in which they tell outcomes.

What a document is stands in what is sealed with it; its bytes do not shrink, so that the database does not try.
"""

from alembic import op

revision = "referral_0019"
down_revision = "referral_0018"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE document (
        document_id uuid PRIMARY KEY,
        task_id uuid NOT NULL,
        about bytea NOT NULL,
        file bytea NOT NULL,
        attached_at timestamptz NOT NULL,
        attached_by text NOT NULL,
        error_at timestamptz,
        error_by text,
        CHECK ((error_at IS NULL) = (error_by IS NULL))
    )
    """,
    "ALTER TABLE document ALTER COLUMN file SET STORAGE EXTERNAL",
    "CREATE INDEX document_task ON document (task_id)",
    """
    CREATE TABLE outcome_template (
        department text NOT NULL,
        code text NOT NULL,
        version integer NOT NULL CHECK (version > 0),
        need_type text NOT NULL,
        outcome text,
        reason text,
        zh text NOT NULL,
        en text NOT NULL,
        published_by uuid NOT NULL,
        published_at timestamptz NOT NULL,
        ended_at timestamptz,
        PRIMARY KEY (department, code, version),
        CHECK ((outcome IS NULL) <> (reason IS NULL))
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
