"""The journal: what the key store did that matters, in order, until the audit log has it; and keys on their way out."""

from alembic import op

revision = "keys_0004"
down_revision = "keys_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE key_store ADD COLUMN written bigint NOT NULL DEFAULT 0, ADD COLUMN taken bigint NOT NULL DEFAULT 0",
    """
    CREATE TABLE journal (
        number bigint PRIMARY KEY,
        id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        action text NOT NULL,
        outcome text NOT NULL,
        policies text[] NOT NULL,
        actor text,
        role text,
        agency text
    )
    """,
    """
    CREATE FUNCTION journal_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' AND OLD.at < now() - interval '14 days' THEN
            RETURN OLD;
        END IF;
        RAISE EXCEPTION 'the journal only grows';
    END $$
    """,
    """
    CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_only_grows()
    """,
    "CREATE TABLE ended_kek (name text PRIMARY KEY)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
