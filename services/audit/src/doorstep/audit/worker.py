"""Composes the log's work: what stores submissions, what gives them their place and signs, what asks witnesses."""

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.duty import SequencerDuty
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.operations.witnessing import Witnessing
from doorstep.audit.settings import settings_of
from doorstep.kit.service import Service, add_relay


def add_work(service: Service) -> None:
    """Have `service` consume and sequence, and publish the dead letters that its consumer may still make."""
    settings = settings_of(service)
    sequencer = Sequencer(service.database, settings.signing_key(), origin=settings.log_origin)
    duty = SequencerDuty(service.database, sequencer, window=settings.log_window)
    service.database.on_commit.append(duty.wake)
    service.tasks += [LogConsumer(service).run, duty.run]
    if witnesses := settings.witnesses():
        service.tasks.append(Witnessing(service.database, witnesses, on_duty=duty.on_duty).run)
    add_relay(service)
