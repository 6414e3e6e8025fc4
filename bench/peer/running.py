"""How a process of the peer runs: engine, producer, consumer, and its HTTP edge."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import uvicorn
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from bench.peer.settings import PeerSettings, Tokens
from bench.peer.tables import AuditRow, Table

Handle = Callable[["Peer", dict[str, Any]], Awaitable[None]]


class Peer:
    """The resources of one process."""

    def __init__(self, name: str, settings: PeerSettings) -> None:
        self.name = name
        self.settings = settings
        self.engine = create_async_engine(settings.database_url or "postgresql+asyncpg://", pool_size=16)
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    async def start(self) -> None:
        """Make the tables and the producer."""
        if self.settings.database_url:
            async with self.engine.begin() as connection:
                await connection.run_sync(Table.metadata.create_all)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.settings.kafka, acks="all")
        await self.producer.start()

    async def publish(self, topic: str, key: UUID, event: dict[str, Any]) -> None:
        """Publish an event and wait until the broker has it."""
        await self.producer.send_and_wait(topic, orjson.dumps(event, default=str), key=str(key).encode())

    async def consume(self, topic: str, handle: Handle) -> None:
        """Take the events of a topic, one a transaction, and commit each one's offset when it is done."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.settings.kafka,
            group_id=f"peer-{self.name}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=self.settings.fetch_wait_ms,
        )
        await consumer.start()
        try:
            async for message in consumer:
                await handle(self, orjson.loads(message.value))
                await consumer.commit()
        finally:
            await consumer.stop()


def log(
    session: AsyncSession, action: str, subject: UUID | None, *, actor: str | None = None, purpose: str = ""
) -> None:
    """Keep an audit row of an action, in its transaction."""
    session.add(AuditRow(at=datetime.now(UTC), action=action, subject_id=subject, actor=actor, purpose=purpose or None))


def new_app(peer: Peer, topic: str | None = None, handle: Handle | None = None) -> FastAPI:
    """The HTTP edge of a process, which consumes `topic` beside it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await peer.start()
        consuming = asyncio.create_task(peer.consume(topic, handle)) if topic and handle else None
        if consuming is not None:
            consuming.add_done_callback(_ended)
        sys.stdout.write('{"event": "ready"}\n')
        sys.stdout.flush()
        yield
        if consuming is not None:
            consuming.cancel()
            with suppress(asyncio.CancelledError):
                await consuming
        await peer.producer.stop()
        await peer.engine.dispose()

    app = FastAPI(lifespan=lifespan)
    app.state.peer = peer
    app.state.tokens = Tokens(peer.settings)
    return app


def _ended(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        logging.getLogger(__name__).critical("consumer ended", exc_info=task.exception())


def serve(app: FastAPI, port: int) -> None:
    """Answer until the process is ended."""
    logging.basicConfig(level="WARNING")
    logging.getLogger("aiokafka").setLevel("ERROR")
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)
