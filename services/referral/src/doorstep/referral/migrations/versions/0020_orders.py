"""Orders of the 12345 hotline: which requests answer them, what the hotline is told, extensions, call-backs.

A trigger marks an order whenever a task of a request that answers it moves: nothing that moves tasks can forget it.
News of a station are numbered from a counter's row, so that no number is read before a smaller one. Number, codes and
words are sealed; with its subject an order is gone, and all that hangs on it. What a reviewer declined waits for an order
that may come yet.
"""

from alembic import op

revision = "referral_0020"
down_revision = "referral_0019"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE request ADD COLUMN hotline_due_by timestamptz",
    """
    CREATE TABLE hotline_order (
        order_id uuid PRIMARY KEY,
        record_id uuid NOT NULL UNIQUE,
        subject_id uuid NOT NULL,
        station text NOT NULL,
        called_at timestamptz NOT NULL,
        received_at timestamptz NOT NULL,
        due_by timestamptz NOT NULL,
        withheld boolean NOT NULL,
        told text NOT NULL,
        closings integer NOT NULL DEFAULT 0,
        reopenings integer NOT NULL DEFAULT 0,
        asked integer NOT NULL,
        declined integer NOT NULL DEFAULT 0,
        declined_at timestamptz,
        returned_at timestamptz,
        changed boolean NOT NULL DEFAULT false,
        person_index bytea,
        need_indexes bytea[] NOT NULL,
        detail bytea NOT NULL
    )
    """,
    "CREATE INDEX hotline_order_subject ON hotline_order (subject_id)",
    "CREATE INDEX hotline_order_person ON hotline_order (person_index) WHERE person_index IS NOT NULL",
    "CREATE INDEX hotline_order_changed ON hotline_order (station) WHERE changed",
    """
    CREATE TABLE order_request (
        order_id uuid NOT NULL REFERENCES hotline_order ON DELETE CASCADE,
        request_id uuid NOT NULL REFERENCES request ON DELETE CASCADE,
        need_id uuid NOT NULL,
        PRIMARY KEY (order_id, request_id)
    )
    """,
    "CREATE INDEX order_request_request ON order_request (request_id)",
    """
    CREATE TABLE declined_need (
        need_id uuid PRIMARY KEY,
        record_id uuid NOT NULL,
        subject_id uuid NOT NULL,
        need_index bytea NOT NULL,
        declined_at timestamptz NOT NULL,
        counted boolean NOT NULL DEFAULT false
    )
    """,
    "CREATE INDEX declined_need_record ON declined_need (record_id)",
    "CREATE INDEX declined_need_subject ON declined_need (subject_id)",
    "CREATE INDEX declined_need_at ON declined_need (declined_at)",
    """
    CREATE TABLE order_news (
        station text NOT NULL,
        position bigint NOT NULL,
        order_id uuid NOT NULL REFERENCES hotline_order ON DELETE CASCADE,
        kind text NOT NULL,
        at timestamptz NOT NULL,
        detail bytea NOT NULL,
        PRIMARY KEY (station, position)
    )
    """,
    "CREATE INDEX order_news_order ON order_news (order_id)",
    "CREATE TABLE order_counter (station text PRIMARY KEY, last bigint NOT NULL)",
    """
    CREATE TABLE order_extension (
        extension_id uuid PRIMARY KEY,
        order_id uuid NOT NULL REFERENCES hotline_order ON DELETE CASCADE,
        asked_at timestamptz NOT NULL,
        until timestamptz NOT NULL,
        party text NOT NULL,
        granted boolean,
        answered_at timestamptz,
        CHECK ((granted IS NULL) = (answered_at IS NULL))
    )
    """,
    "CREATE UNIQUE INDEX order_extension_open ON order_extension (order_id) WHERE granted IS NULL",
    "CREATE INDEX order_extension_order ON order_extension (order_id)",
    """
    CREATE TABLE order_call_back (
        order_id uuid NOT NULL REFERENCES hotline_order ON DELETE CASCADE,
        closing integer NOT NULL,
        at timestamptz NOT NULL,
        result bytea NOT NULL,
        PRIMARY KEY (order_id, closing)
    )
    """,
    """
    CREATE FUNCTION mark_orders() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE hotline_order SET changed = true FROM order_request l
        WHERE l.request_id = NEW.request_id AND hotline_order.order_id = l.order_id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER mark_orders AFTER INSERT OR UPDATE OF state ON task
    FOR EACH ROW EXECUTE FUNCTION mark_orders()
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
