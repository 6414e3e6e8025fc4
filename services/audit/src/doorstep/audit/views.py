"""From what was found in the log to what is answered."""

from doorstep.audit.domain.criteria import moment_of
from doorstep.audit.operations.opening import OpenedEntry
from doorstep.audit.schemas import EntryShown


def view_entry(entry: OpenedEntry) -> EntryShown:
    """What an entry says; never whom it is about."""
    said = entry.said
    return EntryShown(
        entry_id=entry.entry_id,
        index=entry.index,
        at=moment_of(said.at_us),
        service=said.service,
        agency=said.agency,
        station=said.station,
        role=said.role,
        actor=said.actor,
        action=said.action,
        outcome=said.outcome,
        purpose=said.purpose,
        legal_basis=said.legal_basis,
        case=said.case,
        record=said.record,
        policies=list(said.policies),
        asked=said.asked,
        officer=said.officer,
        subjects=len(entry.details),
    )
