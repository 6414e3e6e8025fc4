"""Who of each station was here lately. Pseudonyms and days alone."""

from alembic import op

revision = "registry_0005"
down_revision = "registry_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE roster (
            station text NOT NULL,
            person uuid NOT NULL,
            seen_on date NOT NULL,
            PRIMARY KEY (station, person)
        )
        """
    )
