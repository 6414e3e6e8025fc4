"""Orders of the 12345 hotline, each taken as a record."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from doorstep.contracts.codes import Channel, Role
from doorstep.contracts.intake import Card
from doorstep.contracts.orders import OrderDetail, OrderTaken, is_withheld
from doorstep.intake.domain.orders import Order
from doorstep.intake.domain.record import Record, Subject
from doorstep.intake.operations.records import STAFF, store
from doorstep.intake.queries import RecordRow
from doorstep.kit import idempotency, outbox
from doorstep.kit.auth import Principal
from doorstep.kit.vault import KeyRing, Vault

_ORDER = "hotline.order"
_PERSON = "hotline.person"


@dataclass(frozen=True)
class OrderReceipt:
    """An order that was taken: under which receipt, and when."""

    order_id: UUID
    received_at: datetime
    again: bool


def record_id_of(vault: Vault, principal: Principal, number: str) -> UUID:
    """The id of an order's record and command: the same for the same number, and telling nothing of it."""
    return vault.pairwise(_ORDER, f"{principal.agency} {principal.station} {number}")


async def take_order(
    session: AsyncSession, *, vault: Vault, principal: Principal, order: Order, record: Record, digest: bytes
) -> OrderReceipt:
    """Take a hotline's `order` as its `record`, which begins a file of its own; `digest` tells one body from another.

    It is taken once by station and number, whoever of the hotline sends it; what its caller said stays in the record.
    Raises IdReused, Erased.
    """
    now, hotline = datetime.now(UTC), Principal(f"hotline:{principal.agency}", Role.HOTLINE, principal.agency)
    answer = {"order_id": str(uuid4()), "received_at": now.isoformat()}
    replay = await idempotency.claim(session, hotline, record.record_id, digest, answer=answer)
    if replay is not None:
        return OrderReceipt(UUID(replay.answer["order_id"]), datetime.fromisoformat(replay.answer["received_at"]), True)
    [subject] = record.subjects
    codes = {one.subject_id: vault.follow_code(one.subject_id) for one in record.people}
    recorder, station = vault.pairwise(STAFF, hotline.subject), principal.station or ""
    row = RecordRow(record.record_id, record.file_id, station, Channel.HOTLINE, order.called_at, now, recorder)
    ring = await store(session, vault, record, row, codes, principal, order.said)
    taken = OrderReceipt(UUID(answer["order_id"]), now, again=False)
    withheld = any(is_withheld(one) for one in order.need_types)
    person = None if withheld else person_index(vault, subject.card)
    event = _order_event(taken, order, row, ring, subject, person)
    outbox.add(session, event, key=record.file_id, subject=record.record_id)
    return taken


def person_index(vault: Vault, card: Card) -> str | None:
    """By which another order of the same caller is found: by paper and phone together, in hex; None without either.

    Whoever lives with somebody knows their paper: it says alone of nobody that it is they who call.
    """
    if card.document_number is None or card.phone is None:
        return None
    return vault.blind_index(_PERSON, f"{card.document_kind}:{card.document_number}:{card.phone}").hex()


def _order_event(
    taken: OrderReceipt, order: Order, row: RecordRow, ring: KeyRing, subject: Subject, person: str | None
) -> OrderTaken:
    detail = OrderDetail(number=order.number, need_types=order.need_types, area=order.area, person=person)
    return OrderTaken(
        order_id=taken.order_id,
        record_id=row.record_id,
        file_id=row.file_id,
        subject_id=subject.subject_id,
        station=row.station,
        called_at=order.called_at,
        received_at=taken.received_at,
        due_by=order.due_by,
        detail=ring.seal(subject.subject_id, detail),
    )
