"""What the registry does beside its HTTP edge: it takes records, and publishes what they asserted."""

from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay
from doorstep.registry.consumers import handlers


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service)
    vault = service.vault
    consumer = Consumer(service.database, service.broker, handlers(vault), steps=service.steps, prepare=vault.prefetch)
    service.tasks.append(consumer.run)
