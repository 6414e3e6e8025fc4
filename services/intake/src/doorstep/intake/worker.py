"""What intake does beside its HTTP edge: it publishes its outbox, and erases whom the registry says."""

from doorstep.intake.consumers import HANDLERS
from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service)
    service.tasks.append(Consumer(service.database, service.broker, HANDLERS, steps=service.steps).run)
