"""An order of the 12345 hotline, and what its caller states by it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from doorstep.contracts.codes import LegalBasis, SaidBy
from doorstep.contracts.facts import Fact, FactKind
from doorstep.contracts.orders import ORDERED, is_withheld


@dataclass(frozen=True)
class Order:
    """An order as the hotline handed it in; `area` is a code of its division, `said` what the caller said."""

    number: str
    need_types: tuple[str, ...]
    area: str
    called_at: datetime
    due_by: datetime
    said: str | None


def facts_of(order: Order) -> tuple[Fact, ...]:
    """What the caller states by what they ask for."""
    return tuple(
        Fact(
            fact_id=uuid4(),
            code=code,
            value=value,
            said_by=SaidBy.PERSON,
            legal_basis=LegalBasis.CONSENT,
            since=order.called_at,
        )
        for code, value in (ORDERED[one] for one in order.need_types)
    )


def kinds_to_see(facts: Collection[Fact]) -> frozenset[FactKind]:
    """Which kinds of fact somebody has to see, all of them, to see what the caller of an order said.

    Words are a wish; of what is confidential, or health's or justice's, they may tell of health too.
    """
    stated = {fact.code for fact in facts}
    withheld = any(is_withheld(need_type) for need_type, (code, _) in ORDERED.items() if code in stated)
    return frozenset({FactKind.WISHES, FactKind.HEALTH} if withheld else {FactKind.WISHES})
