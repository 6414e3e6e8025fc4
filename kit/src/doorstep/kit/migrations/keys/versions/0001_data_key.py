"""Data keys of subjects, wrapped."""

from alembic import op

revision = "keys_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE data_key (
            subject_id uuid PRIMARY KEY,
            version integer NOT NULL DEFAULT 1,
            kek text NOT NULL,
            wrapped bytea,
            made_at timestamptz NOT NULL DEFAULT now(),
            destroyed_at timestamptz
        )
        """
    )
