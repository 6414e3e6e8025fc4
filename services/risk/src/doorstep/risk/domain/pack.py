"""A rule pack as it is published: a decision table in YAML, its parsing and its digest.

InvalidPack
"""

import json
from collections.abc import Hashable
from datetime import date
from hashlib import sha256
from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from doorstep.contracts.codes import Urgency
from doorstep.contracts.facts import SubjectKind
from doorstep.risk.errors import InvalidPack

CURRENT = "2026-1"

Code = Annotated[str, Field(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=64)]


class Title(BaseModel):
    """A title for people, in Chinese and English."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    zh: str
    en: str


class Rule(BaseModel):
    """One row of the table: of a `subject` of that kind it reads the facts `reads`; `when` they hold, there is a need.

    `when` is a CEL expression. In it a fact's code is written with underscores: `dwelling.gas_hose`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Code
    title: Title
    subject: SubjectKind
    reads: Annotated[tuple[Code, ...], Field(min_length=1)]
    when: Annotated[str, Field(strict=True, min_length=1, max_length=500)]
    need: Code
    urgency: Urgency


class RulePack(BaseModel):
    """All rules in force together."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Code
    title: Title
    valid_from: date
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)]

    def digest(self) -> str:
        """Hex SHA-256 of the pack as canonical JSON: keys sorted, no spaces, UTF-8."""
        canonical = json.dumps(self.model_dump(mode="json"), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest()

    def name(self) -> str:
        """What an assessment cites: the pack's id and its digest."""
        return f"{self.id}@{self.digest()}"


def parse_pack(text: str) -> RulePack:
    """Read a pack from YAML; raises InvalidPack."""
    try:
        return RulePack.model_validate(yaml.load(text, _UniqueKeys))  # noqa: S506 - derived from SafeLoader
    except (yaml.YAMLError, ValidationError) as error:
        raise InvalidPack(str(error)) from error


def published_pack(pack_id: str = CURRENT) -> RulePack:
    """A pack that this package carries; raises InvalidPack."""
    try:
        text = files("doorstep.risk").joinpath("rules", f"{pack_id}.yaml").read_text("utf-8")
    except FileNotFoundError as error:
        raise InvalidPack(f"there is no rule pack {pack_id}") from error
    pack = parse_pack(text)
    if pack.id != pack_id:
        raise InvalidPack(f"the pack {pack_id} calls itself {pack.id}")
    return pack


class _UniqueKeys(yaml.SafeLoader):
    """YAML lets the last of two equal keys win, silently; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)
