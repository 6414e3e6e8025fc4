"""Composes the log's work: what stores, sequences and signs, what asks witnesses, what matches manifests."""

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.activating import activation
from doorstep.audit.operations.anchoring import Anchor
from doorstep.audit.operations.duty import JournalDuty, MatcherDuty, SequencerDuty
from doorstep.audit.operations.matching import Matcher
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.operations.witnessing import Witnessing
from doorstep.audit.settings import settings_of
from doorstep.kit.db import Database
from doorstep.kit.service import Service, add_relay


def add_work(service: Service) -> None:
    """Have `service` consume, sequence and match, and publish the dead letters that its consumer may still make."""
    settings = settings_of(service)
    keys = settings.log_keys()
    second = Database(settings.log_anchor_url, service="audit", pool_size=2)
    service.closers.append(second.close)
    service.activations.append(activation(keys))
    sequencer = Sequencer(service.database, keys, Anchor(second, origin=keys.name))
    duty = SequencerDuty(service.database, sequencer, window=settings.log_window)
    service.database.on_commit.append(duty.wake)
    if witnesses := settings.witnesses():
        service.tasks.append(Witnessing(service.database, witnesses, on_duty=duty.on_duty).run)
    matcher = Matcher(service.database, grace=settings.log_grace, silence=settings.log_silence)
    service.tasks += [LogConsumer(service).run, duty.run, MatcherDuty(service.database, matcher).run]
    service.tasks.append(JournalDuty(service.database, service.vault).run)
    add_relay(service)
