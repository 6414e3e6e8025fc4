"""The CloudEvents 1.0 envelope of every event, and what all published models have in common."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from doorstep.contracts.never import refuse_names

SPEC_VERSION = "1.0"
JSON = "application/json"
JOSE = "application/jose"


class Contract(BaseModel):
    """A published shape: strict, immutable, and tolerant of fields that came later."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Raise NeverNamed for a shape with a field for what must never be known of anybody."""
        refuse_names(cls.__name__, cls.model_fields)


class Event(Contract):
    """A domain event in the past tense; `event_type` is its name on the wire."""

    event_type: ClassVar[str]


class Envelope(Contract):
    """What travels beside an event: CloudEvents attributes and the number of its key.

    `number` counts the events of one (topic, key) from 1 without a gap; it is None on topics without order.
    `epoch` counts how often the topic was published anew after its broker lost it; then `first` marks the event before
    which the producer holds none of its key any more, so that whoever knows nothing of the key begins there.
    `subject` is a random id, never a person's number or name.
    """

    id: UUID
    source: str
    type: str
    time: datetime
    key: UUID
    subject: UUID | None = None
    number: int | None = None
    epoch: int = 1
    first: bool = False
    traceparent: str | None = None
    content_type: str = JSON
