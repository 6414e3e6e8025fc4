"""Files of who left a household, whose persons are found within them alone; and which file they left, sealed.

The guardians of children, by person: sealed under the key of one of the child's mentions.
"""

from alembic import op

revision = "registry_0006"
down_revision = "registry_0005"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE file ADD COLUMN apart boolean NOT NULL DEFAULT false",
    """
    CREATE TABLE departure (
        subject_id uuid NOT NULL,
        file_id uuid NOT NULL REFERENCES file,
        content bytea NOT NULL,
        PRIMARY KEY (subject_id, file_id)
    )
    """,
    """
    CREATE TABLE guardianship (
        person_id uuid PRIMARY KEY REFERENCES person ON DELETE CASCADE,
        content_key uuid NOT NULL,
        content bytea NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
