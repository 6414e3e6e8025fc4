"""Composes the log's work: what stores submissions, and what gives them their place and signs."""

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.settings import settings_of
from doorstep.kit.db import Database
from doorstep.kit.service import Service, add_relay


def add_work(service: Service) -> None:
    """Have `service` consume and sequence, and publish the dead letters that its consumer may still make."""
    settings = settings_of(service)
    keys = settings.log_keys()
    second = Database(settings.anchor_url, service="audit", pool_size=2)
    service.closers.append(second.close)
    sequencer = Sequencer(service.database, keys, Anchor(second, origin=keys.name))
    duty = SequencerDuty(service.database, sequencer, window=settings.log_window)
    service.database.on_commit.append(duty.wake)
    service.tasks += [LogConsumer(service).run, duty.run]
    add_relay(service)
