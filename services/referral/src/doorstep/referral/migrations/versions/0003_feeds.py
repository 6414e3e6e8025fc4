"""Places of feed messages, dates of keys, endpoints for webhooks, and the erasures that departments owe."""

from alembic import op

revision = "referral_0003"
down_revision = "referral_0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Keys have dates: from when one is used, and when and why it was taken back.
    "ALTER TABLE department_key ADD COLUMN use_from timestamptz, ADD COLUMN withdrawn_at timestamptz",
    "ALTER TABLE department_key ADD COLUMN withdrawn_by text, ADD COLUMN withdrawn_for text",
    # What of the outbox is for a department, and its place in that department's feed, for pull and webhooks.
    "CREATE TABLE feed (department text PRIMARY KEY, last bigint NOT NULL DEFAULT 0)",
    """
    CREATE TABLE feed_message (
        id uuid PRIMARY KEY,
        department text NOT NULL,
        position bigint NOT NULL,
        place bigint,
        placed_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX feed_message_place ON feed_message (department, place) WHERE place IS NOT NULL",
    "CREATE INDEX feed_message_waiting ON feed_message (department, position) WHERE place IS NULL",
    """
    CREATE FUNCTION note_feed_message() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO feed_message (id, department, position) VALUES (NEW.id, NEW.recipient, NEW.position);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER note_feed_message AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.recipient IS NOT NULL)
    EXECUTE FUNCTION note_feed_message()
    """,
    """
    INSERT INTO feed_message (id, department, position)
    SELECT id, recipient, position FROM outbox WHERE recipient IS NOT NULL ON CONFLICT DO NOTHING
    """,
    """
    CREATE TABLE feed_endpoint (
        department text PRIMARY KEY,
        url text NOT NULL,
        secret bytea NOT NULL,
        old_secret bytea,
        old_secret_until timestamptz,
        registered_at timestamptz NOT NULL,
        registered_by text NOT NULL,
        state text NOT NULL DEFAULT 'active',
        delivered bigint NOT NULL DEFAULT 0,
        generation uuid NOT NULL,
        failures integer NOT NULL DEFAULT 0,
        refusals integer NOT NULL DEFAULT 0,
        failing_since timestamptz,
        last_status integer,
        next_attempt_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    """
    CREATE TABLE feed_dead_letter (
        department text NOT NULL,
        id uuid NOT NULL,
        status integer NOT NULL,
        died_at timestamptz NOT NULL,
        PRIMARY KEY (department, id)
    )
    """,
    """
    CREATE TABLE owed_erasure (
        department text NOT NULL,
        ref uuid NOT NULL,
        station text NOT NULL,
        withdrawn_at timestamptz NOT NULL,
        delete_by timestamptz NOT NULL,
        acknowledged_at timestamptz,
        acknowledged_by text,
        PRIMARY KEY (department, ref)
    )
    """,
    "CREATE INDEX owed_erasure_open ON owed_erasure (station, withdrawn_at) WHERE acknowledged_at IS NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
