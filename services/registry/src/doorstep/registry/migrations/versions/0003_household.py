"""Whether the address of a file is sealed; whom a person excludes, by pseudonym, and the index of the follow code."""

from alembic import op

revision = "registry_0003"
down_revision = "registry_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE file ADD COLUMN address_sealed boolean NOT NULL DEFAULT false",
    "ALTER TABLE subject ADD COLUMN follow_index bytea",
    "CREATE INDEX subject_follow_index ON subject (follow_index)",
    """
    CREATE TABLE exclusion (
        person_id uuid NOT NULL REFERENCES person ON DELETE CASCADE,
        staff uuid NOT NULL,
        PRIMARY KEY (person_id, staff)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
