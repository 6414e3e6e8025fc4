"""The one table of topics: key, events, producer, consumer groups, dead letters, retention."""

from dataclasses import dataclass

from doorstep.contracts.audit import AuditEntrySubmitted, AuditManifestPublished
from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import Event
from doorstep.contracts.feeds import FEED_DAYS, RequestDue, RequestOffered, RequestWithdrawn
from doorstep.contracts.intake import VisitRecorded
from doorstep.contracts.never import refuse_names
from doorstep.contracts.orders import OrderTaken
from doorstep.contracts.referral import DueAnnounced, FactsAttested, RequestOpened, RequestRated, TaskTransitioned
from doorstep.contracts.registry import (
    ExclusionsNamed,
    FactsAsserted,
    FileOpened,
    GuardianRecorded,
    HouseholdLeft,
    ProxyNamed,
    SubjectErased,
)
from doorstep.contracts.risk import NeedDecided, NeedsAssessed

SERVICES = ("intake", "registry", "risk", "referral", "audit", "gateway")


@dataclass(frozen=True)
class Topic:
    """A topic: who produces it, who consumes it, what its key is.

    An `ordered` topic numbers the events of each key; an unordered one uses every key once. `retention_days` is how
    long the broker, and the producer's outbox, keep an event.
    """

    name: str
    key: str
    events: tuple[type[Event], ...]
    producer: str
    groups: tuple[str, ...] = ()
    ordered: bool = True
    partitions: int = 4
    retention_days: int = 14

    def __post_init__(self) -> None:
        """Raise NeverNamed for a topic, or an event of it, named by what must never be known of anybody."""
        refuse_names(self.name, (self.name, self.key, *(event.event_type for event in self.events)))

    def dead_letter(self, group: str) -> str:
        """The topic to which `group` hands what it can never process."""
        return f"{self.name}.{group}.dead-letter"


def feed_topic(department: Department) -> str:
    """The topic that only `department` may read."""
    return f"feed.{department}"


def audit_topic(service: str) -> str:
    """The topic by which `service` submits entries to the log."""
    return f"audit.entry.{service}"


_TOPICS = (
    Topic("intake.visits", "file", (VisitRecorded,), "intake", ("registry", "gateway")),
    Topic("intake.orders", "file", (OrderTaken,), "intake", ("referral",), partitions=1),
    Topic("registry.facts", "file", (FactsAsserted,), "registry", ("risk", "audit", "gateway")),
    Topic(
        "registry.erasures",
        "file",
        (SubjectErased,),
        "registry",
        ("intake", "risk", "referral", "audit", "gateway"),
        partitions=1,
    ),
    Topic(
        "registry.exclusions",
        "file",
        (ExclusionsNamed,),
        "registry",
        ("intake", "risk", "referral", "gateway"),
        partitions=1,
    ),
    Topic(
        "registry.proxies",
        "file",
        (ProxyNamed, GuardianRecorded),
        "registry",
        ("referral", "audit"),
        partitions=1,
    ),
    Topic(
        "registry.departures",
        "file",
        (HouseholdLeft,),
        "registry",
        ("intake", "risk", "referral", "audit", "gateway"),
        partitions=1,
    ),
    Topic(
        "registry.openings",
        "file",
        (FileOpened,),
        "registry",
        ("intake", "risk", "referral"),
        partitions=1,
    ),
    Topic("risk.needs", "file", (NeedsAssessed, NeedDecided), "risk", ("referral", "gateway")),
    Topic(
        "referral.tasks",
        "file",
        (RequestOpened, TaskTransitioned, RequestRated, DueAnnounced),
        "referral",
        ("gateway",),
    ),
    Topic("referral.attestations", "file", (FactsAttested,), "referral", ("registry",), partitions=1),
    *(
        Topic(
            feed_topic(department),
            "request, pairwise",
            (RequestOffered, RequestWithdrawn, RequestDue),
            "referral",
            partitions=1,
            retention_days=FEED_DAYS,
        )
        for department in Department
    ),
    *(
        Topic(
            audit_topic(service),
            "entry",
            (AuditEntrySubmitted, AuditManifestPublished),
            service,
            ("audit",),
            ordered=False,
            partitions=1,
        )
        for service in SERVICES
        if service != "audit"
    ),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in _TOPICS}

EVENTS: dict[str, type[Event]] = {event.event_type: event for topic in _TOPICS for event in topic.events}

TOPIC_OF: dict[type[Event], Topic] = {
    event: topic for topic in _TOPICS for event in topic.events if not topic.name.startswith(("feed.", "audit."))
}


def consumed_by(group: str) -> tuple[Topic, ...]:
    """The topics that the consumer group `group` reads."""
    return tuple(topic for topic in _TOPICS if group in topic.groups)


def produced_by(service: str) -> tuple[Topic, ...]:
    """The topics that `service` alone writes."""
    return tuple(topic for topic in _TOPICS if topic.producer == service)
