"""Opening: a need becomes a request, its department is offered its own projection, and the log is told."""

from datetime import timedelta
from uuid import UUID

from doorstep.contracts.codes import Department


async def test_a_need_opens_a_request_at_the_department_that_owes_it(desk) -> None:
    task = await desk.opened("chronic-illness-follow-up")
    assert (task.department, task.state, task.version) == ("health", "requested", 1)
    assert task.respond_by == desk.now + timedelta(hours=24)
    [event] = await desk.published("referral.tasks", task.subject_id)
    assert event["type"] == "referral.request-opened.v1"
    assert event["key"] == desk.origin.file_id
    assert event["task_id"] == str(task.task_id)


async def test_the_department_is_offered_its_own_projection_under_its_own_ids(desk, vault) -> None:
    task = await desk.opened("chronic-illness-follow-up", follow_code="FOLLOW-1")
    [offered] = await desk.published("feed.health", task.subject_id)
    offer = offered["offer"]
    assert offered["key"] == UUID(offer["ref"]) == task.ref == vault.pairwise(Department.HEALTH, task.task_id)
    assert offer["subject_ref"] == str(vault.pairwise(Department.HEALTH, task.subject_id))
    assert {fact["code"] for fact in offer["facts"]} == {"health.chronic-illness", "wish.legal-aid"}
    assert offer["name"] == "王秀英"
    assert "document_number" not in offer
    text = str(offered)
    for hidden in (task.request_id, task.task_id, task.need_id, task.record_id, task.subject_id, "FOLLOW-1"):
        assert str(hidden) not in text


async def test_the_same_need_opens_one_request(desk) -> None:
    need = await desk.need("legal-aid")
    assert await desk.open(need) == 1
    assert await desk.open(need) == 0
    assert len(await desk.published("referral.tasks", need.subject_id)) == 1
    assert len(await desk.published("feed.justice", need.subject_id)) == 1
    assert len(await desk.logged(need.subject_id)) == 1


async def test_several_needs_open_at_once_each_at_its_department(desk) -> None:
    needs = [await desk.need(kind) for kind in ("legal-aid", "fire-check", "health-advice", "wage-help")]
    assert await desk.open(*needs) == 4
    departments = [(await desk.task(need.need_id)).department for need in needs]
    assert departments == ["justice", "fire", "health", "labour"]


async def test_the_log_is_told_of_every_opening(desk) -> None:
    task = await desk.opened("gas-leak")
    [entry] = await desk.logged(task.subject_id)
    assert (entry["action"], entry["case"]) == ("open-request", str(task.request_id))
    assert entry["legal_basis"] == "vital-interest"
    assert task.respond_by == desk.now + timedelta(hours=1)


async def test_a_need_without_a_route_waits_for_a_human_and_is_told_to_nobody(desk) -> None:
    task = await desk.opened("a-need-of-tomorrow")
    assert (task.department, task.ref, task.state) == (None, None, "draft")
    assert await desk.published("referral.tasks", task.subject_id) == []
    assert len(await desk.logged(task.subject_id)) == 1


async def test_a_routed_draft_opens_at_its_department(desk) -> None:
    task = await desk.opened("a-need-of-tomorrow")
    moved = await desk.hand_on(task, "civil-affairs")
    assert (moved.state, moved.version) == ("requested", 2)
    [event] = await desk.published("referral.tasks", task.subject_id)
    assert event["type"] == "referral.request-opened.v1"
    [offered] = await desk.published("feed.civil-affairs", task.subject_id)
    assert offered["key"] == moved.ref
    again = await desk.task(task.need_id)
    assert (again.task_id, again.department, again.complete_by) == (task.task_id, "civil-affairs", task.complete_by)


async def test_nothing_personal_is_in_a_column_in_the_clear(desk) -> None:
    task = await desk.opened("legal-aid", follow_code="FOLLOW-SECRET")
    shown = str([value for value in task._mapping.values() if not isinstance(value, bytes)])
    blobs = b"".join(bytes(value) for value in task._mapping.values() if isinstance(value, bytes))
    for secret in ("王秀英", "13800138000", "和平里", "110101194803070028", "FOLLOW-SECRET", "wish.legal-aid"):
        assert secret not in shown
        assert secret.encode() not in blobs
