"""What intake does beside its HTTP edge: it publishes its outbox."""

from doorstep.kit.service import Service, add_relay


def work(service: Service) -> None:
    """Have `service` publish."""
    add_relay(service)
