"""The schemas on disk are what the models say; a difference, a stray and a break are told."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from doorstep.contracts import generate
from doorstep.contracts.schemas import contents, documents
from doorstep.contracts.topics import EVENTS, SERVICES, TOPICS
from doorstep.contracts.yaml_text import to_yaml

ROOT = Path(__file__).parents[2]
ASYNCAPI_SCHEMA = Path(__file__).parent / "asyncapi-3.0.0.schema.json"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, with the generator run in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / generate.FOLDER


@pytest.fixture(scope="module")
def asyncapi() -> dict:
    return yaml.safe_load((ROOT / generate.FOLDER / "asyncapi.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def asyncapi_validator() -> jsonschema.Draft7Validator:
    """The published schema of AsyncAPI 3.0.0 (Apache-2.0), its descriptions and examples left out."""
    return jsonschema.Draft7Validator(json.loads(ASYNCAPI_SCHEMA.read_text(encoding="utf-8")))


def test_schemas_on_disk_are_up_to_date() -> None:
    assert generate.differences(ROOT / generate.FOLDER, generate.texts(), aside=generate.ASIDE) == []


def test_two_runs_write_the_same() -> None:
    assert generate.texts() == generate.texts()


def test_a_difference_a_stray_and_a_missing_file_are_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0
    (folder / "topics.json").write_text("{}")
    (folder / "envelope.json").unlink()
    (folder / "left.json").write_text("{}")
    assert generate.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "topics.json: is not what the models say" in said
    assert "envelope.json: is missing" in said
    assert "left.json: nothing generates it" in said
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_a_break_is_neither_written_nor_released(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--release"]) == 0
    published = folder / generate.RELEASED / "intake.visit-recorded.v1.json"
    schema = json.loads(published.read_text())
    schema["properties"]["weather"] = {"type": "string"}
    published.write_text(json.dumps(schema))
    (folder / "topics.json").unlink()
    for arguments in ([], ["--check"], ["--release"]):
        assert generate.main(arguments) == 1
        assert "$.weather: was published and is gone" in capsys.readouterr().err
    assert not (folder / "topics.json").exists()


def test_every_event_and_every_sealed_content_has_a_schema() -> None:
    made = documents()
    assert {f"{name}.json" for name in EVENTS} <= set(made)
    names = {model.__name__ for model in contents()}
    assert names == {
        "AuditDetail", "Card", "DueDetail", "GuardianGrant", "Need", "OrderDetail", "ProxyGrant", "Rating",
        "RequestSummary", "SamePerson", "StatedFacts", "TransitionDetail",
    }  # fmt: skip
    sealed = set()
    for name in EVENTS:
        for definition in made[f"{name}.json"].get("$defs", {}).values():
            sealed |= {definition["x-sealed-content"]} if "x-sealed-content" in definition else set()
    assert sealed == names


@pytest.mark.parametrize("name", [name for name in documents() if name not in ("topics.json", "catalogue.json")])
def test_a_schema_is_valid_json_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(documents()[name])


def test_the_asyncapi_document_is_valid(asyncapi: dict, asyncapi_validator: jsonschema.Draft7Validator) -> None:
    asyncapi_validator.validate(asyncapi)


@pytest.mark.parametrize("place", ["channel", "operation", "binding", "message"])
def test_a_wrong_asyncapi_document_is_refused(
    asyncapi: dict, asyncapi_validator: jsonschema.Draft7Validator, place: str
) -> None:
    wrong = copy.deepcopy(asyncapi)
    if place == "channel":
        wrong["channels"]["intake.visits"]["adress"] = "intake.visits"
    elif place == "operation":
        wrong["operations"]["intake-sends-intake.visits"]["action"] = "publish"
    elif place == "binding":
        wrong["channels"]["intake.visits"]["bindings"]["kafka"]["partitions"] = "4"
    else:
        wrong["components"]["messages"]["intake.visit-recorded.v1"]["body"] = {}
    assert not asyncapi_validator.is_valid(wrong)


def test_every_reference_in_the_asyncapi_document_leads_somewhere(asyncapi: dict) -> None:
    dead = [reference for reference in references(asyncapi) if not resolves(asyncapi, reference)]
    assert dead == []


def test_the_asyncapi_document_has_every_topic_with_its_dead_letters_and_sides(asyncapi: dict) -> None:
    dead = {topic.dead_letter(group) for topic in TOPICS.values() for group in topic.groups}
    assert set(asyncapi["channels"]) == set(TOPICS) | dead
    for topic in TOPICS.values():
        channel = asyncapi["channels"][topic.name]
        assert channel["bindings"]["kafka"]["topicConfiguration"]["retention.ms"] == topic.retention_days * 86_400_000
        assert asyncapi["operations"][f"{topic.producer}-sends-{topic.name}"]["action"] == "send"
        for group in topic.groups:
            received = asyncapi["operations"][f"{group}-receives-{topic.name}"]
            assert received["action"] == "receive"
            assert received["bindings"]["kafka"]["groupId"]["enum"] == [group]
    assert {one["tags"][0]["name"] for one in asyncapi["operations"].values()} >= set(SERVICES)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, min_size=1, max_size=4))
def test_yaml_says_what_the_document_says(document: dict) -> None:
    assert yaml.safe_load(to_yaml(document)) == document


def references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for inner in value.values() for one in references(inner)]
    return [one for inner in value for one in references(inner)] if isinstance(value, list) else []


def resolves(document: dict, reference: str) -> bool:
    place: object = document
    for name in reference.removeprefix("#/").split("/"):
        if not isinstance(place, dict) or name not in place:
            return False
        place = place[name]
    return True
