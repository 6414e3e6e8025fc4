"""The hotline's clock beside ours: the earlier binds, also after a hand-on, and a grant moves the hotline's alone."""

import runpy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

_ORDERS = runpy.run_path(str(Path(__file__).with_name("test_orders.py")))
order, handed_in, told, offered, step, listed, says, code = (
    _ORDERS[name] for name in ("order", "handed_in", "told", "offered", "step", "listed", "says", "code")
)


async def at_station(estate: Any, receipt: str) -> datetime:
    """By when the hotline waits for what answers an order, as its station sees it."""
    path = f"/api/requests?record_id={(await listed(estate, receipt))['record_id']}"
    [request] = (await estate.ask("GET", path, "reviewer", doorstep_purpose="follow-up")).body["requests"]
    return datetime.fromisoformat(request["tasks"][0]["hotline_due_by"])


async def test_the_earlier_clock_binds_and_a_grant_moves_the_hotlines_alone(estate: Any) -> None:
    body = order(days=0.5)
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    due = datetime.fromisoformat(body["due_by"]).replace(second=0, microsecond=0)
    ours = datetime.fromisoformat(request["respond_by"])
    assert (request["hotline"], "hotline_due_by" in request) == (True, False)
    assert {request["respond_by"], request["complete_by"], request["offer"]["complete_by"]} == {
        due.isoformat().replace("+00:00", "Z")
    }
    until = due + timedelta(days=2)
    asked = {"id": str(uuid7()), "until": until.isoformat(), "reason": "work-on-site"}
    path = f"/api/departments/labour/requests/{request['ref']}/extensions"
    first, again = [await estate.ask("POST", path, "labour", asked) for _ in range(2)]
    assert (first.status, first.body) == (again.status, again.body) == (200, {"extension": asked["id"]})
    second = await says(estate, "reviewer", receipt, "extensions", until=until.isoformat(), reason="weather")
    assert code(second) == (409, "extension-pending")
    own = await estate.ask("POST", path, "labour", asked | {"id": str(uuid7())})
    assert code(own) == (409, "no-extension-now")  # it is not told who asked
    [*_, news] = await told(estate, receipt)
    assert (news["kind"], news["reason"], news["extension"]) == ("extension-asked", "work-on-site", asked["id"])
    tail = f"extensions/{asked['id']}/answer"
    granted = [await says(estate, "hotline", receipt, tail, granted=True) for _ in range(2)]
    assert [datetime.fromisoformat(one.body["due_by"]) for one in granted] == [until, until]
    assert code(await says(estate, "hotline", receipt, tail, granted=False)) == (409, "extension-answered")
    [request] = await offered(estate, body)
    assert await at_station(estate, receipt) == until
    assert ours < datetime.fromisoformat(request["respond_by"]) < until  # our day, and no longer
    more = {"until": (until + timedelta(days=1)).isoformat(), "reason": "papers-awaited"}
    asked = (await says(estate, "reviewer", receipt, "extensions", **more)).body
    await says(estate, "hotline", receipt, f"extensions/{asked['extension']}/answer", granted=False)
    assert code(await says(estate, "reviewer", receipt, "extensions", **more)) == (409, "no-more-extensions")
    own = await estate.ask("POST", path, "labour", {"id": str(uuid7()), **more})
    assert code(own) == (409, "no-extension-now")
    assert await at_station(estate, receipt) == until


async def test_who_is_handed_a_request_on_is_offered_it_with_the_hotlines_clock(estate: Any) -> None:
    body = order(days=0.5)
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    await step(estate, request, 1, "rejected", reason="not-ours")
    path = f"/api/requests/{(await listed(estate, receipt))['requests'][0]}/transitions"
    wish = {"id": str(uuid7()), "to": "requested", "department": "justice"}
    answer = await estate.ask("POST", path, "reviewer", wish, if_match='"2"')
    assert answer.status == 200, answer.body
    [handed] = await offered(estate, body, "justice")
    due = datetime.fromisoformat(body["due_by"]).replace(second=0, microsecond=0)
    assert handed["hotline"]
    assert {handed[one] for one in ("respond_by", "complete_by")} | {handed["offer"]["complete_by"]} == {
        due.isoformat().replace("+00:00", "Z")
    }


async def test_what_is_late_by_the_hotlines_clock_is_late_and_gets_no_more_time(estate: Any) -> None:
    body = order(called_at=(datetime.now(UTC) - timedelta(days=2)).isoformat(), days=-1)
    receipt = await handed_in(estate, body)
    [request] = await offered(estate, body)
    assert request["overdue"]
    assert (await listed(estate, receipt))["overdue"]
    inbox = (
        await estate.ask("GET", "/api/departments/labour/inbox?late=true", "labour", doorstep_purpose="service")
    ).body
    assert request["ref"] in str(inbox)
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    late = await says(estate, "reviewer", receipt, "extensions", until=until, reason="weather")
    assert code(late) == (409, "order-overdue")
