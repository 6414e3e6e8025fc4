"""Makes the golden message of every event that has none; those that exist are never made anew.

Run at the root of the project after adding an event: `python tests/contracts/make_examples.py`. People, papers and keys
are made up.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from joserfc.jwk import OKPKey

from doorstep.contracts.audit import AuditDetail, AuditEntrySubmitted, AuditManifestPublished
from doorstep.contracts.codes import (
    Action,
    Channel,
    Deadline,
    Decision,
    Department,
    DueStep,
    LegalBasis,
    Outcome,
    ProxyScope,
    Purpose,
    SaidBy,
    TaskState,
    Urgency,
)  # fmt: skip
from doorstep.contracts.envelope import JOSE, Envelope, Event
from doorstep.contracts.facts import Fact, SubjectKind
from doorstep.contracts.feeds import Offer, OfferedFact, RequestDue, RequestOffered, RequestWithdrawn
from doorstep.contracts.intake import Card, RecordedSubject, StatedFacts, VisitRecorded
from doorstep.contracts.needs import FactUsed, Need
from doorstep.contracts.orders import OrderDetail, OrderTaken
from doorstep.contracts.referral import (
    DueAnnounced,
    DueDetail,
    FactsAttested,
    Rating,
    RequestOpened,
    RequestRated,
    RequestSummary,
    TaskTransitioned,
    TransitionDetail,
)  # fmt: skip
from doorstep.contracts.registry import (
    AssertedSubject,
    ExclusionsNamed,
    FactsAsserted,
    FileOpened,
    GuardianGrant,
    GuardianRecorded,
    HouseholdLeft,
    MentionMoved,
    ProxyGrant,
    ProxyNamed,
    SubjectErased,
)
from doorstep.contracts.risk import AssessedNeed, NeedDecided, NeedsAssessed
from doorstep.contracts.schemas import contents
from doorstep.contracts.sealed import Sealed
from doorstep.contracts.topics import TOPIC_OF, TOPICS, Topic, audit_topic, feed_topic
from doorstep.contracts.wire import STRUCTURED, format_time, to_headers
from doorstep.kit.delivery import encrypt_for, new_private_key
from doorstep.kit.intents import commitment
from doorstep.kit.vault import KeyRing

FOLDER = Path("contracts/examples")
AT = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEPARTMENT = Department.JUSTICE


def made_up(name: str) -> UUID:
    return uuid5(UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8"), f"doorstep example {name}")


RECORD, FILE, STAFF, ASSESSMENT = (made_up(name) for name in ("record", "file", "collector", "assessment"))
WOMAN, DWELLING, STAIRWELL = (made_up(name) for name in ("woman", "dwelling", "stairwell"))
LEGAL, HOSE, REQUEST, TASK, REF = (made_up(name) for name in ("legal aid", "gas hose", "request", "task", "ref"))
SUBJECTS = (WOMAN, DWELLING, STAIRWELL)
KEYS = {one: hashlib.sha256(f"no secret: example key of {one}".encode()).digest() for one in SUBJECTS}
RING = KeyRing({one: (1, AESGCM(key)) for one, key in KEYS.items()})
CARDS = {
    WOMAN: Card(
        name="林样例",
        document_kind="resident-id",
        document_number="110105194811203823",
        phone="13800000000",
        follow_code="EXAM-PLE1-CODE",
    ),
    DWELLING: Card(address="样例市示范街道1号楼2单元502室"),
    STAIRWELL: Card(description="1号楼2单元楼道"),
}
KINDS = {WOMAN: SubjectKind.PERSON, DWELLING: SubjectKind.DWELLING, STAIRWELL: SubjectKind.PLACE}


def fact(code: str, value: bool | int | str, said_by: SaidBy, basis: LegalBasis = LegalBasis.CONSENT) -> Fact:
    return Fact(fact_id=made_up(code), code=code, value=value, said_by=said_by, legal_basis=basis, since=AT)


SAFETY = LegalBasis.PUBLIC_SAFETY
FACTS = {
    WOMAN: (
        fact("identity.birth-year", 1948, SaidBy.PERSON),
        fact("living.alone", True, SaidBy.PERSON),
        fact("wish.legal-aid", True, SaidBy.PERSON),
    ),
    DWELLING: (fact("dwelling.gas-hose", "expired", SaidBy.COLLECTOR_SAW, SAFETY),),
    STAIRWELL: (fact("place.e-bike-charging", True, SaidBy.COLLECTOR_SAW, SAFETY),),
}
Made = tuple[Topic, Event, UUID, UUID | None, int | None]


def stated(subject: UUID) -> dict[str, Any]:
    sealed = {
        "card": RING.seal(subject, CARDS[subject]),
        "facts": RING.seal(subject, StatedFacts(facts=FACTS[subject])),
    }
    return {"subject_id": subject, "kind": KINDS[subject], **sealed}


def need(need_id: UUID, subject: UUID, code: str, rule: str, *, wanted: bool) -> AssessedNeed:
    used = FACTS[subject][-1:]
    content = Need(
        need_type=code,
        urgency=Urgency.DAY,
        wanted=wanted,
        rule=rule,
        facts=tuple(FactUsed(fact_id=one.fact_id, code=one.code) for one in used),
    )
    facts = RING.seal(subject, StatedFacts(facts=used))
    return AssessedNeed(**stated(subject) | {"facts": facts}, need_id=need_id, need=RING.seal(subject, content))


def from_record_to_needs() -> list[Event]:
    wanted = need(LEGAL, WOMAN, "legal-aid", "wish-for-legal-aid", wanted=True)
    suggested = need(HOSE, DWELLING, "gas-hose-replacement", "old-gas-hose", wanted=False)
    common = {"record_id": RECORD, "file_id": FILE, "station": "station-1"}
    return [
        VisitRecorded(
            **common,
            channel=Channel.VISIT,
            visited_at=AT,
            recorded_at=AT + timedelta(minutes=20),
            recorded_by=STAFF,
            subjects=tuple(RecordedSubject(**stated(one)) for one in SUBJECTS),
        ),
        OrderTaken(
            **common,
            order_id=made_up("order"),
            subject_id=WOMAN,
            called_at=AT,
            received_at=AT + timedelta(minutes=20),
            due_by=AT + timedelta(days=5),
            detail=RING.seal(
                WOMAN, OrderDetail(number="12345-20261120-0001", need_types=("legal-aid",), area="110105")
            ),
        ),
        FactsAsserted(
            **common,
            file_version=1,
            recorded_by=STAFF,
            asserted_at=AT + timedelta(minutes=21),
            subjects=tuple(
                AssertedSubject(**stated(one), person_id=made_up("person") if one == WOMAN else None)
                for one in SUBJECTS
            ),
        ),
        NeedsAssessed(
            **common,
            assessment_id=ASSESSMENT,
            rule_pack="example 1",
            assessed_at=AT + timedelta(minutes=22),
            handed_on=(wanted,),
            suggested=(suggested,),
        ),
        NeedDecided(
            **common,
            decision=Decision.CONFIRMED,
            decided_by=made_up("reviewer"),
            recorded_by=STAFF,
            decided_at=AT + timedelta(hours=1),
            need=suggested,
        ),
    ]


def of_the_request() -> list[Event]:
    common = {"request_id": REQUEST, "record_id": RECORD, "file_id": FILE, "subject_id": WOMAN}
    summary = RequestSummary(
        need_type="legal-aid",
        department=DEPARTMENT,
        urgency=Urgency.DAY,
        respond_by=AT + timedelta(days=1),
        complete_by=AT + timedelta(days=11),
    )
    detail = TransitionDetail(department=DEPARTMENT, outcome=Outcome.ADVICE_GIVEN)
    attested = fact("benefits.minimum-living", True, SaidBy.DEPARTMENT).model_copy(
        update={"attested_by": Department.CIVIL_AFFAIRS}
    )
    near = DueDetail(
        department=DEPARTMENT,
        deadline=Deadline.RESPONSE,
        step=DueStep.OFFICER,
        due_by=AT + timedelta(days=1),
        late=False,
    )
    return [
        RequestOpened(
            **common,
            task_id=TASK,
            need_id=LEGAL,
            opened_at=AT + timedelta(minutes=23),
            summary=RING.seal(WOMAN, summary),
        ),
        TaskTransitioned(
            **common,
            task_id=TASK,
            from_state=TaskState.IN_PROGRESS,
            to_state=TaskState.COMPLETED,
            version=4,
            at=AT + timedelta(days=3),
            detail=RING.seal(WOMAN, detail),
        ),
        RequestRated(**common, rated_at=AT + timedelta(days=4), rating=RING.seal(WOMAN, Rating(solved=True, stars=5))),
        FactsAttested(
            **common, attested_at=AT + timedelta(days=3), facts=RING.seal(WOMAN, StatedFacts(facts=(attested,)))
        ),
        DueAnnounced(**common, task_id=TASK, announced_at=AT + timedelta(hours=20), detail=RING.seal(WOMAN, near)),
    ]


def of_the_end() -> list[Event]:
    named = ExclusionsNamed(
        file_id=FILE, subject_ids=(WOMAN,), staff=(made_up("excluded"),), named_at=AT + timedelta(days=2)
    )
    grant = ProxyGrant(code="EXAM-PLE0-PR0X-Y000", scopes=(ProxyScope.FOLLOW_REQUESTS,), until=AT + timedelta(days=90))
    proxy = ProxyNamed(file_id=FILE, subject_id=WOMAN, grant=RING.seal(WOMAN, grant), named_at=AT + timedelta(days=3))
    opened = FileOpened(
        opening_id=made_up("opening"),
        file_id=made_up("file"),
        opened_by=made_up("supervisor"),
        opened_at=AT + timedelta(days=29),
        until=AT + timedelta(days=29, hours=1),
    )
    erased = SubjectErased(subject_id=WOMAN, erasure_id=made_up("erasure"), erased_at=AT + timedelta(days=30))
    guardian = GuardianGrant(
        code="EXAM-PLE0-GVAR-D1AN",
        until=AT + timedelta(days=900),
        document_kind="resident-id",
        document_number="110105198803070029",
    )
    recorded = GuardianRecorded(
        file_id=FILE, subject_id=WOMAN, grant=RING.seal(WOMAN, guardian), recorded_at=AT + timedelta(days=4)
    )
    left = HouseholdLeft(
        file_id=made_up("file of who left"),
        station="station-1",
        mentions=(MentionMoved(subject_id=WOMAN, person_id=made_up("person of who left")),),
        left_at=AT + timedelta(days=20),
    )
    return [named, proxy, recorded, opened, left, erased]


def of_the_feed() -> list[Event]:
    offer = Offer(
        ref=REF,
        subject_ref=made_up("subject of the feed"),
        need_type="legal-aid",
        urgency=Urgency.DAY,
        respond_by=AT + timedelta(days=1),
        complete_by=AT + timedelta(days=11),
        name=CARDS[WOMAN].name,
        phone=CARDS[WOMAN].phone,
        facts=(OfferedFact(code="wish.legal-aid", value=True),),
    )
    until = AT + timedelta(days=14)
    return [
        RequestOffered(
            offered_at=AT, delete_by=until, purpose=Purpose.SERVICE, legal_basis=LegalBasis.CONSENT, offer=offer
        ),
        RequestWithdrawn(ref=REF, withdrawn_at=AT + timedelta(days=5), delete_by=until),
        RequestDue(
            ref=REF,
            deadline=Deadline.RESPONSE,
            step=DueStep.OFFICER,
            due_by=AT + timedelta(days=1),
            delete_by=until,
        ),
    ]


def of_the_log() -> AuditEntrySubmitted:
    detail = AuditDetail(
        nonce=base64.b64encode(hashlib.sha256(b"no secret: example nonce").digest()).decode(),
        at_us=int(AT.timestamp()) * 1_000_000,
        service="intake",
        action=Action.RECORD_VISIT,
        outcome="done",
        actor="example-collector",
        role="collector",
        agency="station",
        purpose=Purpose.INTAKE,
        legal_basis=LegalBasis.CONSENT,
        case=str(RECORD),
    )
    return AuditEntrySubmitted(
        entry_id=made_up("entry"),
        hour=AT.strftime("%Y-%m-%dT%H"),
        commitments=(commitment(detail),),
        details=(RING.seal(WOMAN, detail),),
    )


def promising() -> AuditManifestPublished:
    """A manifest of the one entry that there is as an example."""
    entry = FOLDER / f"{AuditEntrySubmitted.event_type}.json"
    value = json.dumps(json.loads(entry.read_text(encoding="utf-8"))["value"], separators=(",", ":"))
    digest = hashlib.sha256(value.encode()).hexdigest()
    ends = AT + timedelta(minutes=1)
    return AuditManifestPublished(service="intake", number=7, begins=AT, ends=ends, count=1, digest=digest)


def messages() -> list[Made]:
    made: list[Made] = [
        (TOPIC_OF[type(event)], event, FILE, RECORD, TOPIC_OF[type(event)].events.index(type(event)) + 1)
        for event in [*from_record_to_needs(), *of_the_request(), *of_the_end()]
    ]
    made += [(TOPICS[feed_topic(DEPARTMENT)], event, REF, None, i) for i, event in enumerate(of_the_feed(), start=1)]
    entry, topic = of_the_log(), TOPICS[audit_topic("intake")]
    made.append((topic, entry, entry.entry_id, None, None))
    return [*made, (topic, promising(), made_up("manifest"), None, None)]


def sealed_in(value: Any, at: str = "") -> dict[str, Any]:
    """Where sealed parts lie in a value, as JSON pointers, and what is in them."""
    if isinstance(value, dict) and "ciphertext" in value:
        model = next(one for one in contents() if one.__name__ == value["context"])
        opened = RING.open(Sealed[model].model_validate_json(json.dumps(value)), model)
        return {at: {"content": model.__name__, "opened": json.loads(opened.model_dump_json(exclude_none=True))}}
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return {place: content for name, one in inner for place, content in sealed_in(one, f"{at}/{name}").items()}


def write(name: str, document: dict[str, Any]) -> None:
    path = FOLDER / name
    if not path.exists():
        path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def keys() -> dict[str, Any]:
    path = FOLDER / "keys.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    subjects = {str(one): {"version": 1, "key": base64.b64encode(key).decode()} for one, key in KEYS.items()}
    private = {str(one): new_private_key(f"example-{one}").as_dict(private=True) for one in (DEPARTMENT,)}
    return {"about": "Keys of made-up people for the examples; nothing else uses them.", "subjects": subjects,
            "departments": private}  # fmt: skip


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    known = keys()
    write("keys.json", known)
    for topic, event, key, subject, number in messages():
        feed = topic.name.startswith("feed.")
        envelope = Envelope(
            id=made_up(event.event_type), source=f"doorstep/{topic.producer}", type=event.event_type, time=AT, key=key,
            subject=subject, number=number, traceparent=None if feed else TRACE,
            content_type=JOSE if feed else "application/json",
        )  # fmt: skip
        value = json.loads(event.model_dump_json(exclude_none=True))
        document: dict[str, Any] = {"topic": topic.name, "key": str(key), "headers": _headers(envelope)}
        if feed:
            jwk = OKPKey.import_key(known["departments"][DEPARTMENT])
            document |= {"value": encrypt_for(jwk, event.model_dump_json(exclude_none=True).encode()).decode()}
            document |= {"decrypted": value}
        else:
            document |= {"value": value, "sealed": sealed_in(value)}
        write(f"{event.event_type}.json", document)
        if isinstance(event, VisitRecorded):
            write(f"{event.event_type}.structured.json", structured(document, envelope))


def _headers(envelope: Envelope) -> dict[str, str]:
    return {name: text.decode() for name, text in to_headers(envelope)}


def structured(binary: dict[str, Any], envelope: Envelope) -> dict[str, Any]:
    attributes = {name.removeprefix("ce_"): text for name, text in binary["headers"].items() if name.startswith("ce_")}
    event = attributes | {"time": format_time(envelope.time), "datacontenttype": "application/json"}
    return binary | {"headers": {"content-type": STRUCTURED}, "value": event | {"data": binary["value"]}}


if __name__ == "__main__":
    main()
