"""Writes the schemas, or checks that they are up to date and changed by addition alone.

Run at the root of the project: `python -m doorstep.contracts.generate [--check | --release]`. `--check` writes nothing
and fails on a difference or a break; `--release` takes today's schemas as the published ones, if nothing breaks.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from doorstep.contracts.asyncapi import document
from doorstep.contracts.compatibility import Documents, breaks
from doorstep.contracts.schemas import documents
from doorstep.contracts.yaml_text import to_yaml

FOLDER = Path("contracts/schemas")
RELEASED = "released"
ASIDE = (RELEASED, "openapi")
Texts = Mapping[str, str]


def texts() -> dict[str, str]:
    """Every generated file by its path below the schemas' folder."""
    made = {name: json_text(schema) for name, schema in documents().items()}
    return made | {"asyncapi.yaml": to_yaml(document())}


def json_text(schema: object) -> str:
    """A document as it is written."""
    return json.dumps(schema, ensure_ascii=False, indent=2) + "\n"


def differences(folder: Path, wanted: Texts, *, aside: Sequence[str] = ()) -> list[str]:
    """One sentence for each file in `folder` that is missing, differs from `wanted` or is one too many, but `aside`."""
    found = []
    for name, text in wanted.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path}: is missing")
        elif path.read_text(encoding="utf-8") != text:
            found.append(f"{path}: is not what the models say")
    return found + [f"{path}: nothing generates it" for path in _strays(folder, wanted, aside)]


def write(folder: Path, wanted: Texts, *, aside: Sequence[str] = ()) -> None:
    """Write `wanted` below `folder`, and remove files that nothing generates; `aside` is let be."""
    for stray in _strays(folder, wanted, aside):
        stray.unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _strays(folder: Path, wanted: Texts, aside: Sequence[str]) -> list[Path]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [
        path
        for path in files
        if path.relative_to(folder).as_posix() not in wanted and path.relative_to(folder).parts[0] not in aside
    ]


def released_documents(folder: Path) -> Documents:
    """The documents that were published last, by name; empty before the first release."""
    root = folder / RELEASED
    return {
        path.relative_to(root).as_posix(): json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.json"))
    }


def main(arguments: Sequence[str]) -> int:
    """Generate, check or release; gives the exit status."""
    found = breaks(released_documents(FOLDER), documents())
    if "--check" in arguments:
        found += differences(FOLDER, texts(), aside=ASIDE)
    elif not found:
        write(FOLDER, texts(), aside=ASIDE)
        if "--release" in arguments:
            write(FOLDER / RELEASED, {name: json_text(schema) for name, schema in documents().items()})
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    if found:
        sys.stderr.write("published contracts change by addition alone; `make schemas` writes what was added\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
