"""By which code somebody is found who left their household: the new one, as long as the file is the one they went to.

Of who left before it is filled in by the worker. The version before writes nothing here: what it moves again is found
by no code until then, and what it erases goes from here too.
"""

from alembic import op

revision = "intake_0005"
down_revision = "intake_0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE moved_code (
        subject_id uuid PRIMARY KEY REFERENCES subject ON DELETE CASCADE,
        file_id uuid NOT NULL,
        follow_index bytea NOT NULL
    )
    """,
    "CREATE INDEX moved_code_follow ON moved_code (follow_index)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
