"""Composes the log's work: what stores submissions, what gives them their place and signs, what matches manifests."""

from doorstep.audit.consumers import LogConsumer
from doorstep.audit.operations.duty import MatcherDuty, SequencerDuty
from doorstep.audit.operations.matching import Matcher
from doorstep.audit.operations.sequencing import Sequencer
from doorstep.audit.settings import settings_of
from doorstep.kit.service import Service, add_relay


def add_work(service: Service) -> None:
    """Have `service` consume, sequence and match, and publish the dead letters that its consumer may still make."""
    settings = settings_of(service)
    sequencer = Sequencer(service.database, settings.signing_key(), origin=settings.log_origin)
    duty = SequencerDuty(service.database, sequencer, window=settings.log_window)
    service.database.on_commit.append(duty.wake)
    matcher = Matcher(service.database, grace=settings.log_grace, silence=settings.log_silence)
    service.tasks += [LogConsumer(service).run, duty.run, MatcherDuty(service.database, matcher).run]
    add_relay(service)
