"""What was submitted, the log itself, which only grows, and the sealed details beside it."""

from alembic import op

revision = "audit_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE pending (
        arrival bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        entry_id uuid NOT NULL UNIQUE,
        body bytea NOT NULL CHECK (octet_length(body) <= 65535)
    )
    """,
    """
    CREATE TABLE entry (
        index bigint PRIMARY KEY CHECK (index >= 0),
        entry_id uuid NOT NULL UNIQUE,
        body bytea NOT NULL,
        leaf bytea NOT NULL CHECK (octet_length(leaf) = 32)
    )
    """,
    """
    CREATE TABLE tile (
        level smallint,
        index bigint,
        hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
        root bytea NOT NULL CHECK (octet_length(root) = 32),
        PRIMARY KEY (level, index)
    )
    """,
    "ALTER TABLE tile ALTER hashes SET STORAGE EXTERNAL",
    """
    CREATE TABLE checkpoint (
        size bigint PRIMARY KEY CHECK (size >= 0),
        note bytea NOT NULL,
        signed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE detail (
        entry_id uuid,
        position integer,
        subject bytea NOT NULL CHECK (octet_length(subject) = 16),
        sealed bytea NOT NULL,
        PRIMARY KEY (entry_id, position)
    )
    """,
    "CREATE INDEX detail_subject ON detail (subject)",
    """
    CREATE TABLE unreadable (
        entry_id uuid PRIMARY KEY,
        nonce bytea NOT NULL CHECK (octet_length(nonce) = 32),
        topic text NOT NULL,
        message bytea NOT NULL
    )
    """,
    """
    CREATE FUNCTION refuse_to_change_the_log() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the log only grows: % on % is refused', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END
    $$
    """,
    *(
        f"CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_log()"
        for table in ("entry", "tile", "checkpoint")
    ),
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
