"""Dead letters are listed without what they say, shown whole, and replayed once their cause is mended."""

from uuid import UUID, uuid4

import pytest

from doorstep.kit import dead_letter
from doorstep.kit.dead_letter import DeadLetter, NoSuchDeadLetter
from doorstep.kit.testing import eventually


async def refuse(session, received):
    raise ValueError("what it says is quoted nowhere")


async def letter_of(stage, key: UUID) -> DeadLetter:
    """The dead letter of `key`, found in the list by what only showing it tells."""
    async with stage.flow.consumer.transaction() as session:
        for letter in await dead_letter.listed(session):
            if str(key) in (await dead_letter.shown(session, letter.id)).body:
                return letter
    raise AssertionError("no such letter")


async def replay(stage, letter: DeadLetter) -> DeadLetter:
    """Ask for a replay and wait until it is settled."""
    database = stage.flow.consumer

    async def now() -> DeadLetter:
        async with database.transaction() as session:
            return next(one for one in await dead_letter.listed(session) if one.id == letter.id)

    async with database.transaction() as session:
        await dead_letter.request_replay(session, letter.id)

    async def settled() -> bool:
        found = await now()
        return found.replayed_at is not None or found.replay_error is not None

    await eventually(settled, within=30)
    return await now()


async def test_a_dead_letter_is_listed_by_place_and_reason_and_shown_whole(stage):
    key = uuid4()
    stage.behaviour[key] = refuse
    await stage.flow.write(key)
    await stage.died(key, 1)
    letter = await letter_of(stage, key)
    assert (letter.topic, letter.number, letter.error) == (stage.flow.small.TOPIC, 1, "ValueError")
    assert "body" not in letter.model_dump()
    assert "quoted nowhere" not in letter.model_dump_json()


async def test_a_replay_after_the_cause_is_mended_has_its_effect_once(stage):
    key = uuid4()
    stage.behaviour[key] = refuse
    await stage.flow.write(key)
    await stage.died(key, 1)
    letter = await letter_of(stage, key)
    del stage.behaviour[key]
    replayed = await replay(stage, letter)
    assert (replayed.replay_error, len(await stage.effects(key))) == (None, 1)


async def test_a_replay_that_fails_says_why_and_can_be_asked_for_again(stage):
    key = uuid4()
    stage.behaviour[key] = refuse
    await stage.flow.write(key)
    await stage.died(key, 1)
    letter = await letter_of(stage, key)
    assert (await replay(stage, letter)).replay_error == "ValueError"
    assert await stage.effects(key) == []
    del stage.behaviour[key]
    assert (await replay(stage, letter)).replay_error is None
    assert len(await stage.effects(key)) == 1


async def test_an_unknown_letter_is_neither_shown_nor_replayed(stage):
    async with stage.flow.consumer.transaction() as session:
        with pytest.raises(NoSuchDeadLetter):
            await dead_letter.shown(session, uuid4())
        with pytest.raises(NoSuchDeadLetter):
            await dead_letter.request_replay(session, uuid4())
