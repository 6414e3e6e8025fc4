"""What services promised to have submitted, what of it the log holds, and the gaps between the two."""

from alembic import op

revision = "audit_0003"
down_revision = "audit_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE pending ADD service text, ADD minute timestamptz, ADD digest numeric",
    """
    CREATE TABLE tally (
        service text, minute timestamptz, count bigint NOT NULL, digest numeric NOT NULL, PRIMARY KEY (service, minute)
    )
    """,
    """
    CREATE TABLE manifest (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        service text NOT NULL,
        number bigint NOT NULL,
        begins timestamptz NOT NULL,
        ends timestamptz NOT NULL,
        count bigint NOT NULL,
        digest numeric NOT NULL,
        matched boolean NOT NULL DEFAULT false,
        linked boolean NOT NULL DEFAULT false,
        contradicts boolean NOT NULL,
        arrived_at timestamptz NOT NULL DEFAULT now(),
        UNIQUE (service, number, begins, ends, count, digest)
    )
    """,
    "CREATE INDEX manifest_ends ON manifest (service, ends)",
    "CREATE INDEX manifest_open ON manifest (id) WHERE NOT matched OR NOT linked OR contradicts",
    """
    CREATE TABLE gap (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        service text NOT NULL,
        kind text NOT NULL,
        number bigint NOT NULL,
        begins timestamptz,
        ends timestamptz,
        promised bigint,
        stored bigint,
        opened_at timestamptz NOT NULL DEFAULT now(),
        closed_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX gap_open ON gap (service, kind, number) WHERE closed_at IS NULL",
    # A log that is already at work has stored entries that it did not count: manifests of that time are not matched.
    "CREATE TABLE tally_begin (since timestamptz NOT NULL)",
    """
    INSERT INTO tally_begin (since)
    SELECT CASE WHEN EXISTS (SELECT FROM inbox_position) OR EXISTS (SELECT FROM pending) THEN now() ELSE '-infinity' END
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
