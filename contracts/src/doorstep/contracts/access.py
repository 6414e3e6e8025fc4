"""Who may do what on the broker: each service what its topics need, each department its own feed to read.

Invariants: nobody writes a topic but its producer; nobody reads a feed but its department and referral, which makes it;
nobody may make or delete topics: they are made beforehand, from the table.
"""

from dataclasses import dataclass

from doorstep.contracts.codes import Department
from doorstep.contracts.topics import SERVICES, TOPICS, consumed_by, feed_topic, produced_by

TOPIC = "topic"
GROUP = "group"
READ = ("Read", "Describe")
PRODUCE = ("Read", "Write", "Describe")
"""A producer reads its own topics as well: after a crash its relay looks what had left."""


@dataclass(frozen=True)
class Right:
    """What somebody may do on a topic, or in a consumer group; `prefixed` on all whose names begin so."""

    resource: str
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False


@dataclass(frozen=True)
class MadeTopic:
    """A topic as it is made on a broker."""

    name: str
    partitions: int
    retention_days: int


def department_user(department: Department) -> str:
    """What a department's system is called on the broker; its consumer groups begin with this name."""
    return f"department-{department}"


def rights() -> dict[str, tuple[Right, ...]]:
    """The rights of every user of the broker, services by their names."""
    found = {service: _of_service(service) for service in SERVICES}
    for department in Department:
        user = department_user(department)
        found[user] = (Right(TOPIC, feed_topic(department), READ), Right(GROUP, user, READ, prefixed=True))
    return found


def _of_service(service: str) -> tuple[Right, ...]:
    consumed = consumed_by(service)
    produced = [topic.name for topic in produced_by(service)] + [topic.dead_letter(service) for topic in consumed]
    return (
        *(Right(TOPIC, name, PRODUCE) for name in produced),
        *(Right(TOPIC, topic.name, READ) for topic in consumed),
        *((Right(GROUP, service, READ),) if consumed else ()),
    )


def made_topics() -> tuple[MadeTopic, ...]:
    """All topics that have to be there, with the dead letters of their groups."""
    found = []
    for topic in TOPICS.values():
        found.append(MadeTopic(topic.name, topic.partitions, topic.retention_days))
        found += [MadeTopic(topic.dead_letter(group), 1, topic.retention_days) for group in topic.groups]
    return tuple(found)
