"""What triage works on beside its edge: the facts that come in and the events that go out."""

from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay
from doorstep.risk.consumers import handlers
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import published_pack
from doorstep.risk.operations import activation


def add_work(service: Service) -> None:
    """Have the service consume facts and publish needs. Raises InvalidPack, so that no wrong pack ever runs."""
    pack = compile_pack(published_pack(), CATALOGUE, NEED_TYPES)
    service.activations.append(activation(pack))
    add_relay(service)
    vault = service.vault
    consumer = Consumer(
        service.database, service.broker, handlers(vault, pack), steps=service.steps, prepare=vault.prefetch
    )
    service.tasks.append(consumer.run)
