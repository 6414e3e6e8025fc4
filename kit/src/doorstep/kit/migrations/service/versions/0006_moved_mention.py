"""Mentions of persons who left their household: the file to which they belong since, and with what their code was
renewed."""

from alembic import op

revision = "kit_0006"
down_revision = "kit_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE moved_mention (
            subject_id uuid PRIMARY KEY,
            file_id uuid NOT NULL,
            person_id uuid NOT NULL,
            moved_at timestamptz NOT NULL
        )
        """
    )
