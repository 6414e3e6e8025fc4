"""Whose each detail is, for the log's own service alone, and of which hour, so that details can be gone through.

Details that were stored before say their hour; whose they are is not known of them, for the blind index cannot be read
backwards: they are found by their subject, and by no search.
"""

from alembic import op

revision = "audit_0004"
down_revision = "audit_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE detail ADD holder bytea CHECK (octet_length(holder) = 44), ADD hour timestamptz",
    """
    UPDATE detail SET hour = ((convert_from(body, 'UTF8')::jsonb ->> 'hour') || ':00:00Z')::timestamptz FROM (
        SELECT entry_id, body FROM entry UNION ALL SELECT entry_id, body FROM pending
    ) AS stored WHERE stored.entry_id = detail.entry_id
    """,
    "CREATE INDEX detail_hour ON detail (hour, entry_id)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
