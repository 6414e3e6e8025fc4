"""Which of the three duties somebody has on a record: collector, reviewer, supervisor. Pseudonyms alone."""

from alembic import op

revision = "referral_0005"
down_revision = "referral_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE duty (
            record_id uuid NOT NULL,
            person uuid NOT NULL,
            role text NOT NULL,
            PRIMARY KEY (record_id, person)
        )
        """
    )
