"""The anchor: size and root that a log may sign next, in a store apart from the log's own."""

from alembic import op

revision = "audit_anchor_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE anchor (
        origin text PRIMARY KEY,
        size bigint NOT NULL CHECK (size >= 0),
        root bytea NOT NULL CHECK (octet_length(root) = 32),
        moved_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE FUNCTION refuse_to_move_the_anchor_back() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'the anchor only moves forward: % is refused', TG_OP
            USING ERRCODE = 'integrity_constraint_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER only_forward BEFORE UPDATE ON anchor FOR EACH ROW
    WHEN (NEW.origin <> OLD.origin OR NEW.size <= OLD.size) EXECUTE FUNCTION refuse_to_move_the_anchor_back()
    """,
    """
    CREATE TRIGGER never_gone BEFORE DELETE OR TRUNCATE ON anchor
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_move_the_anchor_back()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
