"""Orders of one person on one matter are answered by one request, and nobody else's are."""

import runpy
from pathlib import Path
from typing import Any
from uuid import uuid4

_ORDERS = runpy.run_path(str(Path(__file__).with_name("test_orders.py")))
(order, handed_in, told, kinds, offered,
 step, done, listed, says, code) = (_ORDERS[name] for name in (
    "order", "handed_in", "told", "kinds", "offered", "step", "done", "listed", "says", "code"))  # fmt: skip


async def test_a_second_order_of_the_same_person_joins_and_both_are_told_the_outcome(estate: Any) -> None:
    body = order()
    first = await handed_in(estate, body)
    second = await handed_in(estate, order(caller=body["caller"]))
    other = await handed_in(estate, order("fire-check", caller=body["caller"]))
    [request] = await offered(estate, body)
    assert (await listed(estate, first))["requests"] == (await listed(estate, second))["requests"]
    await done(estate, request)
    assert await kinds(estate, first) == await kinds(estate, second) == ["received", "accepted", "done"]
    assert await kinds(estate, other) == ["received"]
    lost = "SELECT count(*) FROM heard_need h WHERE NOT EXISTS (SELECT FROM request r WHERE r.need_id = h.need_id)"
    assert await estate.desks["referral"].value(lost) == 0
    third = await handed_in(estate, order(caller=body["caller"]))
    assert await kinds(estate, third) == ["received"]  # what was closed is not joined
    assert len(await offered(estate, body)) == 2


async def test_two_who_live_together_each_keep_their_own_order_and_are_not_joined_by_hand(estate: Any) -> None:
    bodies = [order(), order(), order(caller={"name": "无证人", "phone": "13900139000"})]
    receipts = [await handed_in(estate, body) for body in bodies]
    requests = [tuple((await listed(estate, one))["requests"]) for one in receipts]
    assert len(set(requests)) == 3
    for one, into in ((receipts[0], receipts[1]), (receipts[2], receipts[0]), (receipts[0], receipts[0])):
        assert code(await says(estate, "reviewer", one, "join", into=into)) == (409, "not-one-matter")
    assert code(await says(estate, "reviewer", receipts[0], "join", into=str(uuid4()))) == (409, "not-one-matter")
    assert [tuple((await listed(estate, one))["requests"]) for one in receipts] == requests


async def test_somebodys_paper_with_another_phone_joins_nothing_and_learns_nothing(estate: Any) -> None:
    body = order()
    first = await handed_in(estate, body)
    [request] = await offered(estate, body)
    await step(estate, request, 1, "accepted")
    others = ({"phone": "13900139000"}, {"phone": None})
    receipts = [await handed_in(estate, order(caller=body["caller"] | other)) for other in others]
    assert [await kinds(estate, one) for one in receipts] == [["received"], ["received"]]
    assert len(await offered(estate, body)) == 3
    for into in receipts:
        assert code(await says(estate, "reviewer", into, "join", into=first)) == (409, "not-one-matter")
    same = await handed_in(estate, order(caller=body["caller"]))
    received, accepted = await told(estate, same)
    assert (accepted["kind"], accepted["at"]) == ("accepted", received["at"])  # not before it was received


async def test_what_is_withheld_joins_nothing_though_paper_and_phone_are_one(estate: Any) -> None:
    body = order("legal-aid", said="请回拨")
    receipts = [await handed_in(estate, order("legal-aid", caller=body["caller"])), await handed_in(estate, body)]
    assert len(await offered(estate, body, "justice")) == 2
    seen = [await listed(estate, one) for one in receipts]
    assert len({one["requests"][0] for one in seen}) == 2
    by_hand = await says(estate, "reviewer", receipts[1], "join", into=receipts[0])
    assert code(by_hand) == (409, "order-withheld")
    query = "SELECT count(*) FROM hotline_order WHERE withheld AND person_index IS NOT NULL"
    assert await estate.desks["referral"].value(query) == 0
    path = f"/api/records/{seen[1]['record_id']}"
    read = await estate.ask("GET", path, "reviewer", doorstep_purpose="follow-up")
    assert "said" not in read.body["subjects"][0]  # it may tell of health, which a reviewer does not see


async def test_a_returned_order_leaves_what_answers_another_order_too(estate: Any) -> None:
    body = order()
    first = await handed_in(estate, body)
    second = await handed_in(estate, order(caller=body["caller"]))
    assert (await says(estate, "reviewer", first, "return", reason="other-authority")).status == 200
    [request] = await offered(estate, body)
    assert request["state"] == "requested"
    await done(estate, request)
    assert await kinds(estate, first) == ["received", "returned"]
    assert await kinds(estate, second) == ["received", "accepted", "done"]
