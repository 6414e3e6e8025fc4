"""Outbox, relay, inbox, dead letters, leases and commands."""

from alembic import op

revision = "kit_0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE outbox (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key uuid NOT NULL,
        number bigint,
        type text NOT NULL,
        subject uuid,
        time timestamptz NOT NULL,
        traceparent text,
        content_type text NOT NULL,
        recipient text,
        headers jsonb,
        body bytea NOT NULL,
        published_at timestamptz
    )
    """,
    "CREATE INDEX outbox_unpublished ON outbox (position) WHERE published_at IS NULL",
    "CREATE INDEX outbox_topic_key ON outbox (topic, key)",
    "CREATE INDEX outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL",
    "CREATE TABLE outbox_counter (topic text, key uuid, last bigint NOT NULL, PRIMARY KEY (topic, key))",
    "CREATE TABLE relay_topic (topic text PRIMARY KEY, epoch integer NOT NULL DEFAULT 1)",
    """
    CREATE TABLE relay_partition (
        topic text, partition integer, base bigint NOT NULL, acknowledged bigint NOT NULL,
        PRIMARY KEY (topic, partition)
    )
    """,
    """
    CREATE TABLE inbox_position (
        topic text, partition integer, epoch integer NOT NULL DEFAULT 1, next_offset bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (topic, partition)
    )
    """,
    "CREATE TABLE inbox_key (topic text, key uuid, last bigint NOT NULL, PRIMARY KEY (topic, key))",
    """
    CREATE TABLE parked (
        topic text,
        key uuid,
        number bigint,
        partition integer NOT NULL,
        kafka_offset bigint NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        reason text NOT NULL,
        attempts integer NOT NULL DEFAULT 0,
        parked_at timestamptz NOT NULL DEFAULT now(),
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (topic, key, number)
    )
    """,
    """
    CREATE TABLE dead_letter (
        id uuid PRIMARY KEY,
        topic text NOT NULL,
        partition integer NOT NULL,
        kafka_offset bigint NOT NULL,
        key text,
        number bigint,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        error text NOT NULL,
        died_at timestamptz NOT NULL DEFAULT now(),
        replay_requested_at timestamptz,
        replayed_at timestamptz,
        replay_error text
    )
    """,
    "CREATE INDEX dead_letter_replay ON dead_letter (replay_requested_at) WHERE replay_requested_at IS NOT NULL",
    "CREATE TABLE lease (name text PRIMARY KEY, holder uuid NOT NULL, expires_at timestamptz NOT NULL)",
    """
    CREATE TABLE command (
        id uuid PRIMARY KEY,
        principal text NOT NULL,
        digest bytea NOT NULL,
        answer jsonb,
        erased_at timestamptz,
        claimed_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
