"""What witnesses cosigned: one row for each time that a witness cosigned a checkpoint."""

from alembic import op

revision = "audit_0002"
down_revision = "audit_0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE cosignature (
        size bigint CHECK (size >= 0),
        witness text,
        cosigned_at bigint CHECK (cosigned_at >= 0),
        line text NOT NULL,
        PRIMARY KEY (size, witness, cosigned_at)
    )
    """,
    "CREATE TRIGGER only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON cosignature"
    " FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_the_log()",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
