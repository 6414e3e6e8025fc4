"""What referral does beside its HTTP edge: it takes needs, and publishes its outbox, feeds encrypted at delivery."""

from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay
from doorstep.referral.consumers import handlers
from doorstep.referral.operations.delivering import FeedEncoder


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service, FeedEncoder(service.database, service.vault).encode)
    vault = service.vault
    consumer = Consumer(service.database, service.broker, handlers(vault), steps=service.steps, prepare=vault.prefetch)
    service.tasks.append(consumer.run)
