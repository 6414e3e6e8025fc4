"""The named steps of relay, consumer and key epochs, between any two of which a process may die."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A point in the work that has just been passed."""

    RELAY_SELECTED = "relay.selected"
    RELAY_SENT = "relay.sent"
    RELAY_ACKNOWLEDGED = "relay.acknowledged"
    RELAY_MARKED = "relay.marked"
    RELAY_EPOCH_RAISED = "relay.epoch-raised"
    CONSUMER_FETCHED = "consumer.fetched"
    CONSUMER_LOCKED = "consumer.locked"
    CONSUMER_HANDLED = "consumer.handled"
    CONSUMER_COMMITTED = "consumer.committed"
    CONSUMER_BISECTED = "consumer.bisected"
    CONSUMER_DEAD_LETTERED = "consumer.dead-lettered"
    CONSUMER_PARKED = "consumer.parked"
    CONSUMER_DRAINED = "consumer.drained"
    EPOCH_KEY_MADE = "epoch.key-made"
    EPOCH_BEGUN = "epoch.begun"
    EPOCH_REWRAPPED = "epoch.rewrapped"
    EPOCH_ENDED = "epoch.ended"
    EPOCH_KEY_DESTROYED = "epoch.key-destroyed"


Watcher = Callable[[Step], None]


class Steps:
    """Tells a watcher of each step; without one, nothing happens."""

    def __init__(self, watcher: Watcher | None = None) -> None:
        """Tell `watcher`, which may raise or end the process."""
        self._watcher = watcher

    def passed(self, step: Step) -> None:
        """The work has just passed `step`."""
        if self._watcher is not None:
            self._watcher(step)


def die_at(order: str) -> Watcher:
    """A watcher that ends the process as kill -9 does at the nth passing of a step; `order` is like `relay.sent:3`.

    Raises ValueError for a step that does not exist.
    """
    name, _, count = order.partition(":")
    step, nth, seen = Step(name), int(count or 1), Counter[Step]()

    def watch(passed: Step) -> None:
        seen[passed] += 1
        if passed is step and seen[passed] == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return watch
