"""What referral does beside its HTTP edge: it takes needs, publishes, posts webhooks, notifies, tells what is due."""

from doorstep.kit.consumer import Consumer
from doorstep.kit.service import Service, add_relay
from doorstep.referral.consumers import handlers
from doorstep.referral.operations.announcing import Announcing
from doorstep.referral.operations.calling import CallFile, CallLog, DutyDesk
from doorstep.referral.operations.checking import Completeness
from doorstep.referral.operations.delivering import FeedEncoder
from doorstep.referral.operations.notifying import Notifier
from doorstep.referral.operations.posting import Poster
from doorstep.referral.operations.recalculating import Recalculation
from doorstep.referral.operations.senders import FolderSender
from doorstep.referral.operations.watching import Watch
from doorstep.referral.settings import duty_calls, notices_folder, webhooks_inside


def work(service: Service) -> None:
    """Have `service` consume and publish."""
    add_relay(service, FeedEncoder(service.database, service.vault).encode)
    vault = service.vault
    consumer = Consumer(service.database, service.broker, handlers(vault), steps=service.steps, prepare=vault.prefetch)
    service.tasks.append(consumer.run)
    service.tasks.append(Poster(service.database, vault, inside=webhooks_inside(service)).run)
    service.tasks.append(Watch(service.database).run)
    service.tasks.append(Recalculation(service.database, vault).run)
    folder = notices_folder(service)
    sender = None if folder is None else FolderSender(folder)
    service.tasks.append(Notifier(service.database, vault, sender).run)
    service.tasks.append(Announcing(service.database, vault).run)
    calls = duty_calls(service)
    telephone = CallLog() if calls is None else CallFile(calls)
    service.tasks.append(DutyDesk(service.database, telephone).run)
    service.tasks.append(Completeness(service.database).run)
