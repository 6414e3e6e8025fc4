"""Residents' sessions: one-time codes and linked accounts by keyed indexes, and which mentions are one person.

`mention.card` is sealed for its subject, and kept while a code can be asked for. A session of a resident names a
subject, or none until the account that it was opened with is linked; without an account it has no tokens.
"""

from alembic import op

revision = "gateway_0005"
down_revision = "gateway_0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE mention (
        subject_id uuid PRIMARY KEY,
        record_id uuid NOT NULL,
        file_id uuid NOT NULL,
        person_id uuid NOT NULL,
        asserted_at timestamptz NOT NULL,
        card bytea
    )
    """,
    "CREATE INDEX mention_person ON mention (person_id)",
    "CREATE INDEX mention_card ON mention (asserted_at) WHERE card IS NOT NULL",
    "CREATE TABLE sealed_file (file_id uuid PRIMARY KEY)",
    """
    CREATE TABLE sign_in_code (
        subject_id uuid PRIMARY KEY,
        code bytea NOT NULL UNIQUE CHECK (octet_length(code) = 16),
        valid_until timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE linked_account (
        account bytea PRIMARY KEY CHECK (octet_length(account) = 16),
        subject_id uuid NOT NULL
    )
    """,
    "CREATE INDEX linked_account_subject ON linked_account (subject_id)",
    """
    ALTER TABLE browser_session
        ADD COLUMN resident boolean NOT NULL DEFAULT false,
        ADD COLUMN subject_id uuid,
        ADD COLUMN account bytea,
        ALTER COLUMN tokens DROP NOT NULL,
        ADD CONSTRAINT browser_session_whose CHECK (
            CASE WHEN resident THEN subject_id IS NOT NULL OR (account IS NOT NULL AND tokens IS NOT NULL)
            ELSE tokens IS NOT NULL AND subject_id IS NULL AND account IS NULL END
        )
    """,
    "CREATE INDEX browser_session_subject ON browser_session (subject_id) WHERE subject_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
