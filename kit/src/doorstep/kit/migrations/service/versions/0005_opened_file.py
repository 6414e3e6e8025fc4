"""Files that are open to somebody in an emergency, as every service knows them that has something of the file."""

from alembic import op

revision = "kit_0005"
down_revision = "kit_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE opened_file (
            opening_id uuid PRIMARY KEY,
            file_id uuid NOT NULL,
            opened_by uuid NOT NULL,
            until timestamptz NOT NULL
        )
        """
    )
