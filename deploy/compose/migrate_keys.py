"""Brings the database of the key store to its newest version; it is no service's, so no service's `migrate` does."""

import asyncio
import os

from doorstep.kit.migrations import migrate

asyncio.run(migrate(os.environ["DOORSTEP_KEYS_DATABASE_URL"], "doorstep.kit:migrations/keys"))
