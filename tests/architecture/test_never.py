"""What must never be known is refused wherever somebody plants it: by the build, and by what loads it."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cedarpy
import pytest
from pydantic import create_model

from doorstep.audit.domain.conduct_rules import compile_conduct
from doorstep.audit.errors import ConductInvalid
from doorstep.contracts.codes import Department
from doorstep.contracts.envelope import Contract
from doorstep.contracts.facts import CATALOGUE, SubjectKind
from doorstep.contracts.needs import NEED_TYPES
from doorstep.contracts.never import NeverNamed, forbidden_in
from doorstep.contracts.topics import TOPICS, Topic
from doorstep.risk.domain.compiler import compile_pack
from doorstep.risk.domain.pack import parse_pack
from doorstep.risk.errors import InvalidPack

CHECK = Path(__file__).with_name("check_never.py")
_spec = importlib.util.spec_from_file_location("doorstep_check_never", CHECK)
check_never = sys.modules["doorstep_check_never"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check_never)

CONTRACTS = "contracts/src/doorstep/contracts"
KIT = "kit/src/doorstep/kit"
SCHEMAS = "contracts/schemas"
FACTS = f"{CONTRACTS}/facts.py"
RULES = "services/risk/src/doorstep/risk/rules/2026-1.yaml"
CONDUCT = "services/audit/src/doorstep/audit/conduct/2026-1.yaml"
WORDS = {"petition": "信访", "religion": "宗教", "location": "轨迹", "fingerprint": "指纹"}


@dataclass(frozen=True)
class Place:
    """Where something can be named: a file, a text of it before which it is planted, and how (N is the name)."""

    name: str
    path: str
    before: str
    planted: str

    def plant(self, text: str, name: str) -> str:
        assert self.before in text, f"{self.path} no longer has {self.before!r}"
        planted = re.sub("(?<![A-Za-z])N(?![A-Za-z])", name, self.planted)
        return text.replace(self.before, planted + self.before, 1)


def snake(word: str) -> str:
    return f"{word}_count"


def services(name: str) -> str:
    return f"services/{name}/src/doorstep/{name}"


def kebab(word: str) -> str:
    return f"{word}s-kept"


def camel(word: str) -> str:
    return f"last{word.title()}"


def _places() -> Iterator[tuple[Place, Callable[[str], str]]]:
    """Every kind of place, with the spelling of names there."""
    person, wish = '    _person("identity.birth-year"', '    _wish("legal-aid"'
    yield Place("fact", FACTS, person, '    _person("identity.N"),\n'), kebab
    yield Place("wish", FACTS, wish, '    _wish("N", "愿望", "Wish"),\n'), kebab
    yield Place("choice", FACTS, '"expired", "cracked"', '"N", '), kebab
    yield Place("need type", f"{CONTRACTS}/needs.py", '    NeedType("legal-aid"', '    NeedType("N"),\n'), kebab
    for kind, member in (("reason", "NOT_OURS"), ("outcome", "GRANTED"), ("purpose", "TRIAGE"), ("role", "REVIEWER")):
        yield Place(kind, f"{CONTRACTS}/codes.py", f"    {member} = ", '    MORE = "N"\n'), kebab
    yield Place("action", f"{CONTRACTS}/codes.py", "    ASSERT_FACTS = ", '    MORE = "read-N"\n'), kebab
    yield Place("event field", f"{CONTRACTS}/intake.py", "    visited_at: Aware", "    N: str\n"), snake
    yield Place("audit field", f"{CONTRACTS}/audit.py", "    asked: str", "    N: str\n"), snake
    yield Place("feed field", f"{CONTRACTS}/feeds.py", "    document_number: str", "    N: str\n"), snake
    yield Place("topic", f"{CONTRACTS}/topics.py", '    Topic("intake.visits"', '    Topic("intake.N"),\n'), kebab
    yield Place("schema", f"{SCHEMAS}/intake.visit-recorded.v1.json", '"visited_at": {', '"N": {},\n'), camel
    yield Place("interface", f"{SCHEMAS}/openapi/intake.json", '"/api/records": {', '"/api/N": {},\n'), kebab
    yield Place("rule's fact", RULES, "    reads: [wish.legal-aid]", "    reads: [person.N]\n"), kebab
    yield Place("rule's test", RULES, "    when: wish.legal_aid", "    when: person.N > 1\n"), snake
    yield Place("rule's need", RULES, "    need: legal-aid", "    need: N\n"), kebab
    yield Place("conduct rule", CONDUCT, "    when: read && declared_tie", "    when: read && N\n"), snake
    yield Place("body", f"{services('intake')}/schemas.py", "    visited_at: Time", "    N: str\n"), snake
    yield Place("answer", f"{services('registry')}/schemas.py", "    refresh_by: ", "    N: int\n"), snake
    yield (
        Place("query", f"{services('referral')}/api/departments.py", "    after: Ann", "    N: str = STATION,\n"),
        snake,
    )
    yield Place("policy", f"{KIT}/policies/doorstep.cedar", '@id("reviewer-decides")', '@id("N")\n'), kebab
    yield Place("policy's schema", f"{KIT}/policies/doorstep.cedarschema", "  station?: Str", "  N?: Long,\n"), camel
    table = f"{services('registry')}/migrations/versions/0001_file.py"
    yield Place("column", table, "        refresh_by timestamptz", "        N text,\n"), snake
    yield Place("setting", f"{KIT}/resources.py", "    log_level: str", "    N: str\n"), snake
    metric = 'MORE = Gauge("doorstep_N_total", "Many.")\n'
    yield Place("metric", f"{KIT}/telemetry.py", "HOLES = Gauge", metric), snake
    yield Place("log field", f"{KIT}/relay.py", "log = logging", 'EXTRA = {"N": 1}\n'), snake
    yield Place("span", f"{KIT}/wakeups.py", "log = logging", 'SPAN = "read N"\n'), camel
    yield Place("page", f"{services('gateway')}/pages/usage.js", "const ", "const N = 1;\n"), camel
    yield Place("demonstration", "deploy/local/src/doorstep/local/story.py", "import time\n", "N = 1\n"), snake
    yield Place("alarm", "deploy/grafana/alerts.yml", "groups:", "N: 1\n"), snake


PLACES = dict(_places())


@pytest.fixture(scope="module")
def copy(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of all that ships."""
    folder = tmp_path_factory.mktemp("planted")
    for part in check_never.PARTS:
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns(*check_never.SKIPPED))
    return folder


def loaded(copy: Path) -> subprocess.CompletedProcess[str]:
    """What the build says of the contracts of a copy."""
    command = [sys.executable, "-m", "doorstep.contracts.generate", "--check"]
    environment = {**os.environ, "PYTHONPATH": str(copy / "contracts" / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)


def test_nothing_that_ships_is_named_by_what_must_never_be_known(root: Path) -> None:
    """Nor may a word that is allowed somewhere be allowed there for nothing."""
    files = list(check_never.texts(root))
    assert len(files) > 250
    found = [one for path, text in files for one in check_never.named(path, text)]
    assert [str(one) for one in found if one.allowed is None] == []
    assert all(one.why for one in check_never.ALLOWED)
    assert {(one.path, word) for one in check_never.ALLOWED for word in one.words} == {
        (one.allowed.path, one.word) for one in found
    }


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_in_each_place_it_is_refused_and_the_word_and_the_place_are_named(place: Place, root: Path) -> None:
    planted = {PLACES[place](word): word for word in WORDS} | {chinese: chinese for chinese in WORDS.values()}
    text = (root / place.path).read_text(encoding="utf-8")
    for name in planted:
        text = place.plant(text, name)
    found = [str(one) for one in check_never.faults([(place.path, text)])]
    assert len(found) == len(planted) == 2 * len(WORDS)
    for name, word in planted.items():
        told = re.compile(rf"{re.escape(place.path)}:[1-9]\d*: {word}s? must never be known: .*{re.escape(name)}")
        assert any(told.match(one) for one in found), f"{name} in {place.name}"


def test_the_check_of_a_whole_copy_names_every_planted_place(copy: Path) -> None:
    before = {place.path: (copy / place.path).read_text(encoding="utf-8") for place in PLACES}
    try:
        for place, form in PLACES.items():
            file = copy / place.path
            file.write_text(place.plant(file.read_text(encoding="utf-8"), form("religion")), encoding="utf-8")
        command = [sys.executable, str(CHECK), "--root", str(copy)]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        for path, text in before.items():
            (copy / path).write_text(text, encoding="utf-8")
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == len(PLACES)
    assert {line.partition(":")[0] for line in said.stderr.splitlines()} == set(before)


@pytest.mark.parametrize(
    "name",
    [
        "petitionCount", "petition_counts", "PETITIONER", "complaints", "lawsuitsOpen", "religiousAffiliation",
        "ethnicities", "political_party", "TradeUnion", "churches", "GPSTrack", "lastLocation", "geolocation",
        "geo-fence", "travels", "hotelNights", "faceID", "face_template", "facial", "biometricTemplates",
        "fingerprints", "imei", "riskScore", "credit-score", "blackList", "watchlist", "suspicious", "danger_level",
        "inCourt", "court_cases",
        "居民信访次数", "涉诉事项", "宗教信仰", "民族", "活动轨迹", "人脸", "生物特征", "居民积分", "黑名单",
    ],
)  # fmt: skip
def test_every_spelling_is_found(name: str) -> None:
    assert list(forbidden_in(name))


@pytest.mark.parametrize(
    "name",
    [
        "competition", "repetition", "allocation", "relocate", "interface", "surface", "policy", "operation",
        "destination", "combination", "trackless", "trailing", "union_mode", "ranked_by_due", "place.exit-blocked",
        "court-order", "protection-order",
        "人身安全保护令", "走访", "受理地址", "信息",
    ],
)  # fmt: skip
def test_words_that_only_look_like_it_are_let_be(name: str) -> None:
    assert list(forbidden_in(name)) == []


@pytest.mark.parametrize("word", WORDS)
def test_a_shape_with_such_a_field_cannot_be_made_nor_such_a_topic(word: str) -> None:
    with pytest.raises(NeverNamed, match=f"Visited: last{word.title()}: {word} must never be known"):
        create_model("Visited", __base__=Contract, **{f"last{word.title()}": (str, ...)})
    with pytest.raises(NeverNamed, match=f"intake.{word}s: {word}s must never be known"):
        Topic(f"intake.{word}s", "file", TOPICS["intake.visits"].events, "intake")


@pytest.mark.parametrize(
    ("path", "before", "planted", "said"),
    [
        (
            f"{CONTRACTS}/facts.py", '    _person("work.seeking"',
            '    _person("work.religions", FactKind.INCOME_AND_WORK, Value.YES_NO, "工作", "Work"),\n',
            "NeverNamed: work.religions: religions must never be known",
        ),
        (
            f"{CONTRACTS}/facts.py", '    _person("work.seeking"',
            '    _person("work.kept", FactKind.INCOME_AND_WORK, Value.YES_NO, "信访次数", "Kept"),\n',
            "NeverNamed: work.kept: 信访 must never be known",
        ),
        (
            f"{CONTRACTS}/needs.py", '    NeedType("legal-aid"',
            '    NeedType("petition-handling", Department.JUSTICE, _P, "办理", "Handling", 7),\n',
            "NeverNamed: petition-handling: petition must never be known",
        ),
        (
            f"{CONTRACTS}/intake.py", "    visited_at: Aware", "    lastLocation: str | None = None\n",
            "NeverNamed: VisitRecorded: lastLocation: location must never be known",
        ),
        (
            f"{CONTRACTS}/feeds.py", "    document_number: str", "    face_template: str | None = None\n",
            "NeverNamed: Offer: face_template: face must never be known",
        ),
        (
            f"{CONTRACTS}/facts.py", "    CONSENT = 12\n", "    SHOPPING = 13\n",
            "OverBudget: 13 kinds of fact, and the budget is 12",
        ),
    ],
    ids=["fact", "fact in Chinese", "need type", "event field", "feed field", "kind of fact"],
)  # fmt: skip
def test_the_contracts_of_a_copy_do_not_load_with_it(
    copy: Path, path: str, before: str, planted: str, said: str
) -> None:
    file = copy / path
    text = file.read_text(encoding="utf-8")
    file.write_text(Place("", path, before, planted).plant(text, "N"), encoding="utf-8")
    try:
        result = loaded(copy)
    finally:
        file.write_text(text, encoding="utf-8")
    assert result.returncode == 1
    assert said in result.stderr


def test_the_contracts_of_the_copy_load_as_they_are(copy: Path) -> None:
    result = loaded(copy)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("reads: [wish.legal-aid]", "reads: [belief.religion]", "not in the fact catalogue: belief.religion"),
        ("when: wish.legal_aid", "when: wish.legal_aid && petition.count", "wish-legal-aid"),
        ("need: legal-aid", "need: petition-handling", "not a need type: petition-handling"),
        ("urgency: day", "score: 3\n    urgency: day", "score"),
    ],
)
def test_no_rule_reads_tests_or_finds_what_is_outside_the_catalogue(
    root: Path, before: str, after: str, said: str
) -> None:
    text = (root / RULES).read_text(encoding="utf-8")
    with pytest.raises(InvalidPack, match=re.escape(said)):
        compile_pack(parse_pack(text.replace(before, after, 1)), CATALOGUE, NEED_TYPES)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("when: read && !has_case", "when: read && petitions > 1 && !has_case", "petitions"),
        ("action != 'list-requests'", "action != 'read-petition'", "read-petition"),
        ("    when: read && !has_case", "    score: 1\n    when: read && !has_case", "score"),
    ],
)
def test_no_rule_of_conduct_knows_more_than_it_may(root: Path, before: str, after: str, said: str) -> None:
    text = (root / CONDUCT).read_text(encoding="utf-8")
    assert before in text
    with pytest.raises(ConductInvalid, match=said):
        compile_conduct(text.replace(before, after, 1))


def test_no_policy_asks_for_what_its_schema_does_not_know(root: Path) -> None:
    folder = root / KIT / "policies"
    source, schema = ((folder / name).read_text("utf-8") for name in ("doorstep.cedar", "doorstep.cedarschema"))
    asked = 'permit (principal, action == Action::"read-file", resource) when { principal.religion == "none" };'
    assert cedarpy.validate_policies(source, schema).validation_passed
    result = cedarpy.validate_policies(f"{source}\n{asked}", schema)
    assert not result.validation_passed
    assert any("religion" in str(error.error) for error in result.errors)


def test_departments_subjects_and_the_catalogue_have_names_that_are_refused_for_nothing() -> None:
    names = [*CATALOGUE, *NEED_TYPES, *Department, *SubjectKind, *(fact.zh for fact in CATALOGUE.values())]
    assert len(names) > 60
    assert {name: found for name in names if (found := list(forbidden_in(name)))} == {}
