"""A small service as its process runs it: an edge that writes events slowly, a relay, and a task that may fail."""

import asyncio
import os
import sys
from uuid import UUID

import small_service
from fastapi import APIRouter, FastAPI

from doorstep.kit.service import (
    Program,
    Service,
    SessionDep,
    Settings,
    Visibility,
    add_relay,
    compose,
    create_app,
    main,
    visible_to,
)


def make() -> Service:
    """The resources, from the environment."""
    return compose(small_service.PRODUCER, Settings())


def edge(service: Service) -> FastAPI:
    """One endpoint, which takes a second."""
    router = APIRouter()

    @router.post("/api/things")
    @visible_to(Visibility.PUBLIC)
    async def write(session: SessionDep) -> dict[str, list[int]]:
        await asyncio.sleep(1)
        return {"serials": await small_service.write(session, UUID(int=1))}

    return create_app(service, router, title="A small service")


def work(service: Service) -> None:
    """A relay, and a task that fails after as many seconds as it is told."""
    add_relay(service)
    fails_after = float(os.environ.get("FAILS_AFTER", "0"))

    async def fail(stopping: asyncio.Event) -> None:
        await asyncio.sleep(fails_after)
        raise ZeroDivisionError

    if fails_after:
        service.tasks.append(fail)


if __name__ == "__main__":
    program = Program(small_service.PRODUCER, make, edge, work, "doorstep.kit:migrations/service")
    sys.exit(main(program, sys.argv[1:]))
