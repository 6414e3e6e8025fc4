"""A sandbox for a partner: what it is asked wrongly is refused before anything starts, its people are made up."""

import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from doorstep.contracts.codes import Department
from doorstep.contracts.facts import CATALOGUE
from doorstep.contracts.needs import NEED_TYPES
from doorstep.kit.delivery import new_private_key
from doorstep.local.failures import PortTaken
from doorstep.local.ports import HOST
from doorstep.local.sandbox import KeyUnusable, NoSuchDepartment, NotWritten, sandbox
from doorstep.local.station import wish, wishes_of

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)


def refused(*, department: str = "fire", **options: object) -> None:
    """Ask for a sandbox that must not start."""
    sandbox(department, **{"key": None, "write": None, "port": None, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["police", "Fire", "", "civil affairs", "feed.fire"])
def test_an_unknown_department_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(NoSuchDepartment) as said:
        refused(department=name)
    assert said.value.exit_code == 2
    assert "civil-affairs（民政）" in said.value.chinese
    assert "civil-affairs" in said.value.english


PUBLIC = new_private_key("k").as_dict(private=False)


@pytest.mark.parametrize(
    "content",
    [
        "", "no key", "[]", "{}", "\udcff", "[" * 10_000,
        json.dumps(new_private_key("k").as_dict(private=True)),
        json.dumps({name: value for name, value in PUBLIC.items() if name != "kid"}),
        json.dumps(PUBLIC | {"crv": "Ed25519"}), json.dumps(PUBLIC | {"x": "AA"}),
        json.dumps({"keys": [PUBLIC]}), json.dumps(PUBLIC | {"kty": "EC"}),
    ],
    ids=range(12),
)  # fmt: skip
def test_a_file_that_is_no_public_key_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key.json"
    file.write_bytes(content.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(KeyUnusable) as said:
        refused(key=file)
    assert said.value.exit_code == 2
    assert "X25519" in said.value.chinese


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable):
        refused(key=tmp_path / "nothing.json")
    with pytest.raises(NotWritten):
        refused(write=tmp_path / "nowhere" / "sandbox.env")


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(PortTaken):
            refused(port=taken.getsockname()[1], every=1, count=1, seed=1, write=tmp_path / "sandbox.env")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("department", list(Department))
def test_every_department_can_be_asked_for_something_at_once(department: Department) -> None:
    assert wishes_of(department)
    for code in wishes_of(department):
        assert NEED_TYPES[code].department is department


def test_the_same_seed_makes_the_same_people() -> None:
    def people(seed: int) -> list[tuple[str, str, str]]:
        made = [wish(Department.JUSTICE, seed, number, now=NOW) for number in range(1, 21)]
        return [(need, body["subjects"][0]["name"], body["subjects"][0]["document_number"]) for need, body in made]

    assert people(3) == people(3)
    assert people(3) != people(4)
    assert len({number for _, _, number in people(3)}) == 20


def test_a_wish_states_facts_of_the_catalogue_and_consent() -> None:
    for department in Department:
        need, body = wish(department, 7, 1, now=NOW)
        codes = [fact["code"] for fact in body["subjects"][0]["facts"]]
        assert f"wish.{need}" in codes
        assert "consent.service" in codes
        assert set(codes) <= set(CATALOGUE)
