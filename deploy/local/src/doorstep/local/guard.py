"""A block of work that ends as soon as the stack under it has failed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from doorstep.local.failures import StackFailed


@asynccontextmanager
async def guarded(failure: asyncio.Future[StackFailed]) -> AsyncIterator[None]:
    """Cancel the body when `failure` is done, and raise that failure instead of the cancellation.

    A body whose task has ended meanwhile (a fixture's) is told when it leaves the block.
    """
    task = asyncio.current_task()

    def interrupt(_: asyncio.Future[StackFailed]) -> None:
        if task is not None:
            task.cancel()

    failure.add_done_callback(interrupt)
    try:
        yield
    except asyncio.CancelledError:
        if failure.done() and task is not None and task.uncancel() == 0:
            raise failure.result() from None
        raise
    finally:
        failure.remove_done_callback(interrupt)
    if failure.done():
        raise failure.result()
