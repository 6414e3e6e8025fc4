"""Epochs: a row for each key-encryption key in use, and no data key without one."""

from alembic import op

revision = "keys_0003"
down_revision = "keys_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE key_store (
            one boolean PRIMARY KEY DEFAULT true CHECK (one),
            id uuid NOT NULL DEFAULT gen_random_uuid()
        )
        """
    )
    op.execute("INSERT INTO key_store DEFAULT VALUES")
    op.execute("CREATE TABLE kek (name text PRIMARY KEY, made_at timestamptz NOT NULL DEFAULT now())")
    op.execute("INSERT INTO kek (name) SELECT DISTINCT kek FROM data_key WHERE wrapped IS NOT NULL")
    op.execute("""
        CREATE TABLE IF NOT EXISTS lease (
            name text PRIMARY KEY, holder uuid NOT NULL, expires_at timestamptz NOT NULL
        )
        """)
    op.execute("ALTER TABLE data_key ADD COLUMN algorithm text NOT NULL DEFAULT 'aes-256-gcm'")
    op.execute("ALTER TABLE data_key ALTER COLUMN kek DROP NOT NULL")
    op.execute("UPDATE data_key SET kek = NULL WHERE wrapped IS NULL")
    op.execute("ALTER TABLE data_key ADD FOREIGN KEY (kek) REFERENCES kek")
    op.execute("CREATE INDEX data_key_kek ON data_key (kek, subject_id)")
