"""What the gateway does beside its HTTP edge: it follows the journeys of records, and publishes its audit intents."""

from doorstep.gateway.consumers import HANDLERS
from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service)
    service.tasks.append(Consumer(service.database, service.broker, HANDLERS, steps=service.steps).run)
