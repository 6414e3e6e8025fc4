"""Made-up households as the services have them after their lifecycles: rows for every table that a lifecycle touches.

What is sealed is sealed under the real data key of its subject by the services' own functions, so that they read it.
Not made: what services forget by themselves (outboxes), and the audit log, which is measured alone with millions of
entries.
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any
from uuid import UUID

import orjson

from bench.drawn import WISHES
from bench.households import Household, Mention, random_id
from doorstep.contracts.codes import Channel, Department, Role, TaskState, Urgency
from doorstep.contracts.facts import CATALOGUE, SubjectKind
from doorstep.contracts.intake import StatedFacts
from doorstep.contracts.needs import NEED_TYPES, FactUsed, Need
from doorstep.contracts.referral import Rating, RequestSummary, TransitionDetail
from doorstep.contracts.topics import feed_topic
from doorstep.contracts.wire import format_time
from doorstep.gateway.domain.journey import Step, StepKind
from doorstep.intake.operations.records import SubjectContent
from doorstep.kit.vault import KeyRing, Vault
from doorstep.local.department import OUTCOMES
from doorstep.local.records import new_id
from doorstep.referral.columns import Detail, seal_content, seal_detail, seal_rating
from doorstep.referral.domain.content import Content, terms
from doorstep.referral.operations.counting import need_index
from doorstep.referral.operations.opening import Opening, Origin, prepare
from doorstep.registry.domain.retention import refresh_by
from doorstep.registry.operations.files import PAPER, paper_of
from doorstep.risk.columns import Gaps, NeedContent
from doorstep.risk.domain.assessment import Finding, NotEvaluated, assess
from doorstep.risk.domain.compiler import CompiledPack, compile_pack
from doorstep.risk.domain.pack import published_pack

STATION = "station-1"
_RATED = 0.6
_DIGEST = 32  # bytes by which a body would be known again: these were sent by nobody

Rows = dict[str, list[tuple[Any, ...]]]
"""The rows of a database by table; the columns are those of `COLUMNS`."""

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "intake": {
        "household_file": ("file_id", "station", "begun_at"),
        "record": ("record_id", "file_id", "station", "channel", "visited_at", "recorded_at", "recorded_by"),
        "subject": ("subject_id", "kind", "file_id", "record_id"),
        "record_subject": ("record_id", "subject_id", "place", "content"),
    },
    "registry": {
        "file": ("file_id", "station", "version"),
        "person": ("person_id",),
        "person_paper": ("paper_index", "person_id"),
        "subject": (
            "subject_id", "file_id", "kind", "person_id", "record_id", "file_version", "card", "follow_index",
        ),
        "fact": ("fact_id", "subject_id", "file_id", "record_id", "file_version", "refresh_by", "content"),
        "file_record": ("record_id", "file_id", "recorded_by"),
    },
    "risk": {
        "assessment": (
            "assessment_id", "record_id", "file_id", "station", "recorded_by", "rule_pack", "assessed_at",
        ),
        "assessed_subject": ("assessment_id", "subject_id", "kind", "not_evaluated"),
        "need": ("need_id", "assessment_id", "subject_id", "kind", "wanted", "content"),
    },
    "referral": {
        "request": (
            "request_id", "need_id", "record_id", "file_id", "subject_id", "station", "opened_at", "follow_ref",
            "follow_index", "confidential", "safely_shown", "legal_basis", "content", "need_index",
        ),
        "task": (
            "task_id", "request_id", "sequence", "department", "ref", "state", "version", "opened_at", "respond_by",
            "complete_by", "provisional", "closed_at",
        ),
        "task_transition": (
            "task_id", "version", "from_state", "to_state", "at", "party", "person", "detail", "noticed",
        ),
        "rating": ("request_id", "rated_at", "rating"),
        "duty": ("record_id", "person", "role"),
    },
    "gateway": {
        "journey": ("record_id", "station", "recorded_by", "begun_at"),
        "journey_step": ("record_id", "step"),
        "mention": ("subject_id", "record_id", "file_id", "person_id", "asserted_at"),
    },
}  # fmt: skip
_KIT = {
    "outbox_counter": ("topic", "key", "last"),
    "inbox_key": ("topic", "key", "last"),
    "command": ("id", "principal", "digest", "answer", "claimed_at"),
}
for _tables in COLUMNS.values():
    _tables.update(_KIT)


@dataclass
class Writing:
    """Makes rows of households; `collector` and `officer` are who did everything, by pseudonym and by id."""

    vault: Vault
    collector: UUID
    officer: UUID

    @cached_property
    def pack(self) -> CompiledPack:
        """The rules in force."""
        return compile_pack(published_pack(), CATALOGUE, NEED_TYPES)

    @cached_property
    def _gaps(self) -> dict[frozenset[str], tuple[NotEvaluated, ...]]:
        return {}

    @cached_property
    def _need_indexes(self) -> dict[str, bytes]:
        return {need_type: need_index(self.vault, STATION, need_type) for need_type in WISHES.values()}

    def rows(self, some: Iterable[Household], ring: KeyRing) -> dict[str, Rows]:
        """The rows of these households, by database; `ring` has the keys of all their people."""
        found: dict[str, Rows] = {name: defaultdict(list) for name in COLUMNS}
        for one in some:
            self._intake(found["intake"], one, ring)
            self._registry(found["registry"], one, ring)
            needs = self._risk(found["risk"], one, ring)
            self._journey(found["gateway"], one, ring)
            self._referral(found["referral"], found["gateway"], one, ring, needs)
        return found

    def _intake(self, rows: Rows, one: Household, ring: KeyRing) -> None:
        rows["household_file"].append((one.file_id, STATION, one.at))
        record = (one.record_id, one.file_id, STATION, Channel.VISIT.value, one.at, one.at, self.collector)
        rows["record"].append(record)
        for place, each in enumerate(one.people, 1):
            content = SubjectContent(card=each.card, facts=each.facts).model_dump_json(exclude_none=True).encode()
            blob = ring.encrypt(each.subject_id, f"record_subject.content:{one.record_id}", content)
            rows["subject"].append((each.subject_id, SubjectKind.PERSON.value, one.file_id, one.record_id))
            rows["record_subject"].append((one.record_id, each.subject_id, place, blob))
        rows["outbox_counter"].append(("intake.visits", one.file_id, 1))
        rows["command"].append(self._command(one.record_id, one.at, {"recorded_at": one.at.isoformat()}))

    def _registry(self, rows: Rows, one: Household, ring: KeyRing) -> None:
        rows["file"].append((one.file_id, STATION, 1))
        rows["file_record"].append((one.record_id, one.file_id, self.collector))
        for each in one.people:
            subject = each.subject_id
            paper = paper_of(SubjectKind.PERSON, each.card)
            rows["person"].append((each.person_id,))
            rows["person_paper"].append((self.vault.blind_index(PAPER, paper or ""), each.person_id))
            card = ring.encrypt(
                subject, f"subject.card:{subject}", each.card.model_dump_json(exclude_none=True).encode()
            )
            code = self.vault.follow_index(self.vault.follow_code(subject))
            rows["subject"].append((subject, one.file_id, "person", each.person_id, one.record_id, 1, card, code))
            for fact in each.facts:
                content = fact.model_dump_json(exclude_none=True).encode()
                blob = ring.encrypt(subject, f"fact.content:{fact.fact_id}", content)
                rows["fact"].append((fact.fact_id, subject, one.file_id, one.record_id, 1, refresh_by(fact), blob))
        rows["inbox_key"].append(("intake.visits", one.file_id, 1))
        rows["outbox_counter"].append(("registry.facts", one.file_id, 1))

    def _risk(self, rows: Rows, one: Household, ring: KeyRing) -> list[tuple[UUID, Mention, Department, NeedContent]]:
        """Gives the needs that were found, each with its id."""
        assessment_id, found = new_id(one.rng, one.at), []
        assessment = (assessment_id, one.record_id, one.file_id, STATION, self.collector, self.pack.name, one.at)
        rows["assessment"].append(assessment)
        for each in one.people:
            gaps = Gaps(rules=self._not_evaluated(each)).encrypt(ring, each.subject_id, assessment_id)
            rows["assessed_subject"].append((assessment_id, each.subject_id, "person", gaps))
            for department in each.wishes:
                need_id, content = new_id(one.rng, one.at), self._need(each, department)
                blob = content.encrypt(ring, each.subject_id, need_id)
                rows["need"].append((need_id, assessment_id, each.subject_id, "person", True, blob))
                found.append((need_id, each, department, content))
        rows["inbox_key"].append(("registry.facts", one.file_id, 1))
        rows["outbox_counter"].append(("risk.needs", one.file_id, 1))
        return found

    def _not_evaluated(self, each: Mention) -> tuple[NotEvaluated, ...]:
        codes = frozenset(fact.code for fact in each.facts)
        if codes not in self._gaps:
            found = assess(self.pack, SubjectKind.PERSON, each.facts, at=datetime.now(UTC))
            self._gaps[codes] = found.not_evaluated
        return self._gaps[codes]

    def _need(self, each: Mention, department: Department) -> NeedContent:
        fact = each.wish(department)
        need = Need(
            need_type=WISHES[department],
            urgency=Urgency.DAY,
            wanted=True,
            rule=f"wish-{WISHES[department]}",
            facts=(FactUsed(fact_id=fact.fact_id, code=fact.code),),
        )
        card = each.card.model_copy(update={"follow_code": self.vault.follow_code(each.subject_id)})
        return NeedContent(finding=Finding(need=need, facts=(fact,)), card=card)

    def _referral(
        self,
        rows: Rows,
        journeys: Rows,
        one: Household,
        ring: KeyRing,
        needs: Iterable[tuple[UUID, Mention, Department, NeedContent]],
    ) -> None:
        rows["duty"].append((one.record_id, self.collector, Role.COLLECTOR.value))
        rows["inbox_key"].append(("risk.needs", one.file_id, 1))
        told = 0
        for need_id, each, department, found in needs:
            content = Content(need=found.finding.need, card=found.card, facts=found.finding.facts)
            origin = Origin(one.record_id, one.file_id, STATION)
            made = prepare(self.vault, origin, need_id, each.subject_id, content, department, one.at)
            task_id = random_id(one.rng)
            ref = self.vault.pairwise(department, task_id)
            opening = replace(made, request_id=random_id(one.rng), task_id=task_id, ref=ref)
            rows["request"].append(self._request(opening, ring, one.rng))
            rows["outbox_counter"].append((feed_topic(department), ref, 1))
            told += self._lived(rows, journeys, one, ring, opening, department)
        rows["outbox_counter"].append(("referral.tasks", one.file_id, told))
        journeys["inbox_key"].append(("referral.tasks", one.file_id, told))

    def _request(self, opening: Opening, ring: KeyRing, rng: Random) -> tuple[Any, ...]:
        on, need_type = terms(opening.content), opening.content.need.need_type
        return (
            opening.request_id, opening.need_id, opening.origin.record_id, opening.origin.file_id, opening.subject_id,
            STATION, opening.opened_at, random_id(rng),
            self.vault.follow_index(opening.content.card.follow_code or ""), on.confidential, False,
            on.legal_basis.value, seal_content(ring, opening.subject_id, opening.request_id, opening.content),
            self._need_indexes[need_type],
        )  # fmt: skip

    def _lived(
        self, rows: Rows, journeys: Rows, one: Household, ring: KeyRing, opening: Opening, department: Department
    ) -> int:
        """The task with its history and rating, and the steps of the journey; gives how many events told of it."""
        subject, task_id = opening.subject_id, opening.task_id
        accepted = opening.opened_at + timedelta(hours=one.rng.uniform(0.5, 20))
        closed = accepted + timedelta(hours=one.rng.uniform(1, 200))
        steps = () if one.open else ((TaskState.ACCEPTED, accepted), (TaskState.COMPLETED, closed))
        state, version = TaskState.REQUESTED, 1
        begun = (task_id, 1, None, state.value, opening.opened_at, "station", None, None, True)
        rows["task_transition"].append(begun)
        self._opened_step(journeys, one, ring, opening, department)
        for to, at in steps:
            version += 1
            outcome = OUTCOMES[department] if to is TaskState.COMPLETED else None
            detail = seal_detail(ring, subject, task_id, version, Detail(outcome=outcome))
            person = str(self.officer)
            moved = (task_id, version, state.value, to.value, at, "department", person, detail, True)
            rows["task_transition"].append(moved)
            answer = {"ref": str(opening.ref), "state": to.value, "version": version}
            rows["command"].append(self._command(new_id(one.rng, at), at, answer))
            sealed = TransitionDetail(department=department, outcome=outcome)
            shown = {"from": state.value, "to": to.value, "version": version}
            self._step(journeys, one, ring, StepKind.TASK_TRANSITIONED, at, opening, sealed, shown)
            state = to
        task = (
            task_id, opening.request_id, 1, department.value, opening.ref, state.value, version, opening.opened_at,
            opening.due.response, opening.due.completion, opening.due.provisional, None if one.open else closed,
        )  # fmt: skip
        rows["task"].append(task)
        rated = not one.open and one.rng.random() < _RATED
        if rated:
            self._rated(rows, journeys, one, ring, opening, closed + timedelta(hours=2))
        return 1 + len(steps) + rated

    def _rated(self, rows: Rows, journeys: Rows, one: Household, ring: KeyRing, opening: Opening, at: datetime) -> None:
        rating = Rating(solved=True, stars=one.rng.randint(3, 5))
        blob = seal_rating(ring, opening.subject_id, opening.request_id, rating)
        rows["rating"].append((opening.request_id, at, blob))
        rows["command"].append(self._command(new_id(one.rng, at), at, {"reopened": False}))
        self._step(journeys, one, ring, StepKind.REQUEST_RATED, at, opening, rating, {})

    def _journey(self, rows: Rows, one: Household, ring: KeyRing) -> None:
        rows["journey"].append((one.record_id, STATION, self.collector, one.at))
        at = format_time(one.at)
        recorded = Step(kind=StepKind.RECORDED, at=at, open={"channel": "visit", "subjects": len(one.people)})
        rows["journey_step"].append((one.record_id, recorded.model_dump_json(exclude_none=True)))
        for each in one.people:
            rows["mention"].append((each.subject_id, one.record_id, one.file_id, each.person_id, one.at))
            step = Step(
                kind=StepKind.FACTS_ASSERTED,
                at=at,
                subject_id=each.subject_id,
                subject_kind=SubjectKind.PERSON,
                open={"file_version": 1},
                sealed=ring.seal(each.subject_id, StatedFacts(facts=each.facts)).model_dump(mode="json"),
            )
            rows["journey_step"].append((one.record_id, step.model_dump_json(exclude_none=True)))
        for topic in ("intake.visits", "registry.facts", "risk.needs"):
            rows["inbox_key"].append((topic, one.file_id, 1))

    def _opened_step(
        self, journeys: Rows, one: Household, ring: KeyRing, opening: Opening, department: Department
    ) -> None:
        need = opening.content.need
        step = Step(
            kind=StepKind.NEED_HANDED_ON,
            at=format_time(one.at),
            subject_id=opening.subject_id,
            subject_kind=SubjectKind.PERSON,
            open={"need_id": str(opening.need_id), "rule_pack": self.pack.name},
            sealed=ring.seal(opening.subject_id, need).model_dump(mode="json"),
        )
        journeys["journey_step"].append((one.record_id, step.model_dump_json(exclude_none=True)))
        need_id: dict[str, str | int] = {"need_id": str(opening.need_id)}
        summary = RequestSummary(
            need_type=need.need_type,
            department=department,
            urgency=need.urgency,
            respond_by=opening.due.response,
            complete_by=opening.due.completion,
        )
        self._step(journeys, one, ring, StepKind.REQUEST_OPENED, one.at, opening, summary, need_id)

    def _step(
        self,
        journeys: Rows,
        one: Household,
        ring: KeyRing,
        kind: StepKind,
        at: datetime,
        opening: Opening,
        told: RequestSummary | TransitionDetail | Rating,
        shown: Mapping[str, str | int],
    ) -> None:
        step = Step(
            kind=kind,
            at=format_time(at),
            subject_id=opening.subject_id,
            open={"request_id": str(opening.request_id), **shown},
            sealed=ring.seal(opening.subject_id, told).model_dump(mode="json"),
        )
        journeys["journey_step"].append((one.record_id, step.model_dump_json(exclude_none=True)))

    def _command(self, command_id: UUID, at: datetime, answer: Mapping[str, Any]) -> tuple[Any, ...]:
        return (command_id, str(self.officer), secrets.token_bytes(_DIGEST), orjson.dumps(answer).decode(), at)
