"""Holds the never list: nothing that ships is named by what the product must never know of anybody.

    python tests/architecture/check_never.py                  # this project
    python tests/architecture/check_never.py --root FOLDER    # a copy of it

Looked at is every name and every text of the packages' Python (fields, codes, columns in SQL, settings, metrics, log
fields; no docstrings, no comments), and every line of rules, policies, schemas, pages and what is deployed, but
descriptions. The words are the contracts' (`doorstep.contracts.never`). Exits 1 with one sentence for each.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from doorstep.contracts.never import forbidden_in

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("contracts", "kit", "keystore", "services", "cli", "deploy")
LINES = {".yaml", ".yml", ".cedar", ".cedarschema", ".json", ".js", ".html", ".toml", ".sh", ".sql", ".conf"}
SKIPPED = {"tests", "node_modules", "build", "dist", "__pycache__"}
NEVER = "contracts/src/doorstep/contracts/never.py"
DESCRIBED = re.compile(r'^\s*"?(description|title|summary)"?: ')
SHOWN = 80


@dataclass(frozen=True)
class Allowed:
    """A word that means something else in the file `path`, or below it if it ends in a slash, and why.

    It does so in lines alone that hold one of the texts `beside`, if there are any.
    """

    path: str
    words: tuple[str, ...]
    why: str
    beside: tuple[str, ...] = ("",)

    def covers(self, one: "Named") -> bool:
        """Whether the word may stand where it does."""
        inside = one.path.startswith(self.path) if self.path.endswith("/") else one.path == self.path
        return inside and one.word in self.words and any(text in one.text for text in self.beside)


_RATED = "what a resident thinks of an answer; no rule reads it"
_COMPLAINED = "an auditor looks at somebody's data because that person asked for it"
_TREATED = "what a resident says of how they were treated, sealed apart; nothing that is decided reads it"
_COMPLAINT = ("complaint", "complaints")
_COMPLAINS = ("complain", "complaining", "complained")
_OF_COMPLAINTS = ("COMPLAINT", "-complaint")
_FORBIDDEN = "the policy that forbids these agencies everything"
_AGENCIES = ("never-police-or-petitions", "Police, political-legal and petition", '"petitions"')
_COURSE = "办理轨迹: the course of a request, not of a person"
_PLACES = ("location", "locations", "latitude", "longitude")
_WHERE = "HSDS's words for where an office is"

ALLOWED = (
    Allowed("contracts/src/doorstep/contracts/referral.py", ("rating",), _RATED),
    Allowed("contracts/schemas/", ("rating", "ratings"), _RATED),
    Allowed("contracts/examples/", ("rating",), _RATED),
    Allowed("services/referral/", ("rating", "ratings"), _RATED),
    Allowed("services/gateway/src/doorstep/gateway/pages/own.js", ("ratings",), _RATED),
    Allowed("services/gateway/", ("rating",), _RATED),
    Allowed("deploy/local/", ("ratings",), _RATED),
    Allowed("services/referral/src/doorstep/referral/domain/hsds.py", _PLACES, _WHERE),
    Allowed("services/referral/src/doorstep/referral/domain/offices.py", _PLACES[:2], _WHERE),
    Allowed("contracts/src/doorstep/contracts/codes.py", _COMPLAINT, _TREATED, _OF_COMPLAINTS),
    Allowed("contracts/schemas/asyncapi.yaml", _COMPLAINT, _TREATED, _OF_COMPLAINTS),
    Allowed("contracts/schemas/contents/AuditDetail.json", _COMPLAINT, _TREATED, _OF_COMPLAINTS),
    Allowed("contracts/schemas/openapi/referral.json", (*_COMPLAINT, "complain"), _TREATED),
    Allowed("kit/src/doorstep/kit/policies/", _COMPLAINT, _TREATED, (*_OF_COMPLAINTS, "@title")),
    Allowed("services/referral/src/doorstep/referral/app.py", ("complaints",), _TREATED),
    Allowed("services/referral/src/doorstep/referral/api/refusals.py", ("complaints",), _TREATED),
    Allowed("services/referral/src/doorstep/referral/api/complaint_refusals.py", (*_COMPLAINT, "投诉"), _TREATED),
    Allowed("services/referral/src/doorstep/referral/api/complaints.py", (*_COMPLAINT, "complaining"), _TREATED),
    Allowed(
        "services/referral/src/doorstep/referral/api/own_complaints.py",
        (*_COMPLAINT, "complain", "complaining"),
        _TREATED,
    ),
    Allowed("services/referral/src/doorstep/referral/domain/complaint_errors.py", _COMPLAINT, _TREATED),
    Allowed("services/referral/src/doorstep/referral/domain/complaints.py", ("complaint",), _TREATED),
    Allowed("services/referral/src/doorstep/referral/operations/complaining.py", (*_COMPLAINT, "complain"), _TREATED),
    Allowed("services/referral/src/doorstep/referral/operations/erasing.py", ("complaint",), _TREATED),
    Allowed("services/referral/src/doorstep/referral/migrations/versions/0018_complaint.py", ("complaint",), _TREATED),
    Allowed("services/gateway/src/doorstep/gateway/pages/own.js", (*_COMPLAINT, *_COMPLAINS, "投诉"), _TREATED),
    Allowed("services/gateway/src/doorstep/gateway/pages/own.html", ("complaint", "投诉"), _TREATED),
    Allowed("services/gateway/src/doorstep/gateway/pages/audit-words.js", (*_COMPLAINT, "投诉"), _TREATED),
    Allowed("services/audit/src/doorstep/audit/domain/usage.py", ("complaints", "投诉"), _TREATED),
    Allowed("services/audit/src/doorstep/audit/commands/table.py", ("complaints", "投诉"), _TREATED),
    Allowed("services/audit/src/doorstep/audit/domain/criteria.py", _COMPLAINT, _TREATED),
    Allowed("services/audit/", ("complaint", "complains", "complained"), _COMPLAINED),
    Allowed("contracts/schemas/openapi/audit.json", ("complaint",), _COMPLAINED),
    Allowed(
        "kit/src/doorstep/kit/policies/doorstep.cedar", ("political", "petition", "petitions"), _FORBIDDEN, _AGENCIES
    ),
    Allowed("services/audit/src/doorstep/audit/commands/table.py", ("轨迹",), _COURSE),
    Allowed("services/audit/src/doorstep/audit/domain/usage.py", ("轨迹",), _COURSE),
    Allowed("services/gateway/src/doorstep/gateway/pages/audit-words.js", ("轨迹",), _COURSE),
    Allowed("services/gateway/src/doorstep/gateway/pages/audit.html", ("排名",), "the page says that nobody is ranked"),
    Allowed("services/gateway/src/doorstep/gateway/pages/journey.js", ("location",), "the address of the page"),
    Allowed("services/gateway/src/doorstep/gateway/pages/session.js", ("location",), "the address of the page"),
    Allowed("kit/src/doorstep/kit/policy.py", ("political", "petitions"), "agencies that a policy forbids everything"),
    Allowed("services/gateway/src/doorstep/gateway/api/forward.py", ("location",), "a header of HTTP"),
    Allowed("services/audit/src/doorstep/audit/operations/submitting.py", ("fingerprint",), "the digest of an entry"),
)


@dataclass(frozen=True)
class Named:
    """A forbidden word, where it stands and in which name or text."""

    path: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word} must never be known: {self.text.strip()[:SHOWN]}"

    @property
    def allowed(self) -> Allowed | None:
        """Why it may stand there, if it may."""
        return next((one for one in ALLOWED if one.covers(self)), None)


def looked_at(path: str) -> bool:
    """Whether the file at `path`, relative to the root, ships and is no list of these words itself."""
    parts = Path(path).parts
    if path == NEVER or parts[0] not in PARTS or SKIPPED.intersection(parts):
        return False
    return Path(path).suffix in LINES or (Path(path).suffix == ".py" and "src" in parts)


def named(path: str, text: str) -> list[Named]:
    """All forbidden words in the file at `path`, also those that are allowed there."""
    found = _of_python(text) if path.endswith(".py") else enumerate(text.splitlines(), start=1)
    return [
        Named(path, line, word, said)
        for line, said in found
        if not DESCRIBED.match(said)
        for word in dict.fromkeys(forbidden_in(said))
    ]


def _of_python(text: str) -> Iterator[tuple[int, str]]:
    """Every name and text of a module but docstrings, with its line; a longer text line by line."""
    tree = ast.parse(text)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for kind in ("name", "id", "attr", "arg", "asname"):
            if isinstance(name := getattr(node, kind, None), str):
                yield line, name
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield from enumerate(node.value.splitlines(), start=line)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Every file below `root` that is looked at, by its path."""
    for part in PARTS:
        for file in sorted((root / part).rglob("*")):
            path = file.relative_to(root).as_posix()
            if looked_at(path) and file.is_file():
                yield path, file.read_text(encoding="utf-8")


def faults(files: Iterable[tuple[str, str]]) -> list[Named]:
    """The forbidden words in `files` that are not allowed where they stand."""
    return [one for path, text in files for one in named(path, text) if one.allowed is None]


def main() -> int:
    """Look through the project and say what must not be there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=ROOT)
    found = faults(texts(parser.parse_args().root))
    for one in found:
        sys.stderr.write(f"{one}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
