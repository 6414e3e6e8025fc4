"""A record's facts become needs, in one transaction, and nothing personal lies open."""

import orjson

from doorstep.contracts.intake import Card, StatedFacts
from doorstep.contracts.needs import Need


async def test_wanted_needs_are_handed_on_and_suggested_ones_wait(desk, fact) -> None:
    event = await desk.assessed(
        person=[fact("wish.legal-aid"), fact("health.chronic-illness"), fact("living.alone")],
        place=[fact("place.e-bike-charging")],
    )
    (assessed,) = await desk.published(event.file_id)
    ring = await desk.vault.ring(desk.subjects.values())
    wanted = [ring.open(need.need, Need) for need in assessed.handed_on]
    suggested = [ring.open(need.need, Need) for need in assessed.suggested]
    assert [(need.need_type, need.rule) for need in wanted] == [("legal-aid", "wish-legal-aid")]
    assert {need.need_type for need in suggested} == {"chronic-illness-follow-up", "stairwell-charging"}
    assert assessed.record_id == event.record_id
    assert assessed.rule_pack.startswith("2026-1@")


async def test_a_need_travels_with_the_facts_of_its_rule_alone(desk, fact) -> None:
    wish, unread = fact("wish.legal-aid"), fact("living.alone")
    event = await desk.assessed(person=[unread, wish, fact("access.language", "sign")])
    (assessed,) = await desk.published(event.file_id)
    ring = await desk.vault.ring(desk.subjects.values())
    (need,) = assessed.handed_on
    assert ring.open(need.facts, StatedFacts).facts == (wish,)
    card = ring.open(need.card, Card)
    assert (card.phone, card.language) == ("16900001234", "sign")


async def test_a_record_without_needs_is_told_of_too(desk, fact) -> None:
    event = await desk.assessed(person=[fact("living.alone")])
    (assessed,) = await desk.published(event.file_id)
    assert assessed.handed_on == assessed.suggested == ()


async def test_a_record_is_assessed_once(desk, fact) -> None:
    event = await desk.assessed(person=[fact("wish.legal-aid")])
    await desk.assess(event)
    assert len(await desk.published(event.file_id)) == 1
    assert len(await desk.rows("SELECT 1 FROM need WHERE subject_id = :id", id=desk.subjects["person"])) == 1


async def test_an_erased_subject_is_passed_over(desk, fact) -> None:
    event = await desk.facts(person=[fact("wish.legal-aid")], place=[fact("place.exit-blocked")])
    await desk.vault.destroy(desk.subjects["person"])
    await desk.assess(event)
    (assessed,) = await desk.published(event.file_id)
    assert assessed.handed_on == ()
    assert [need.subject_id for need in assessed.suggested] == [desk.subjects["place"]]


async def test_a_record_of_erased_subjects_alone_leaves_nothing(desk, fact) -> None:
    event = await desk.facts(person=[fact("wish.legal-aid")])
    await desk.vault.destroy(desk.subjects["person"])
    await desk.assess(event)
    assert await desk.published(event.file_id) == []
    assert await desk.rows("SELECT 1 FROM assessed_subject WHERE subject_id = :id", id=desk.subjects["person"]) == []


async def test_the_assessment_is_logged_for_every_subject(desk, fact) -> None:
    event = await desk.assessed(person=[fact("wish.legal-aid")], dwelling=[fact("dwelling.gas-hose", "sound")])
    for subject in desk.subjects.values():
        (entry,) = await desk.logged(subject)
        assert (entry["action"], entry["purpose"], entry["case"]) == ("assess-needs", "triage", str(event.record_id))


async def test_nothing_that_was_told_lies_open_in_the_database(desk, fact) -> None:
    await desk.assessed(person=[fact("wish.legal-aid"), fact("health.chronic-illness")])
    tables = ("assessment", "assessed_subject", "need", "outbox")
    dump = ""
    for table in tables:
        for (row,) in await desk.rows(f"SELECT row_to_json(t) FROM {table} t"):  # noqa: S608
            for value in row.values():
                dump += str(value) + "\n"
                if isinstance(value, str) and value.startswith("\\x"):
                    dump += bytes.fromhex(value[2:]).decode(errors="replace") + "\n"
    assert "assess-needs" not in dump
    for open_word in ("王秀英", "16900001234", "legal-aid", "chronic"):
        assert open_word not in dump
        assert orjson.dumps(open_word).decode().strip('"') not in dump
