"""fsck: what is wrong in the rows is said once, and where."""

import asyncio
import json
import sys

import pytest
from sqlalchemy import text

from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.findings import TEXTS, Fault, Finding
from doorstep.audit.domain.note import Note, SigningKey
from doorstep.audit.operations.checking import check_log
from doorstep.audit.operations.submitting import submit_unreadable
from doorstep.kit.inbox import Message

SWAP = (
    "UPDATE tile SET hashes = set_byte(hashes, {at}, 255 - get_byte(hashes, {at})) WHERE level = {level} AND index = 0"
)


KEPT = ("entry", "tile", "checkpoint", "detail", "unreadable", "pending")
CASES = [
    (["{edit:17}"], [(Fault.ENTRY_EDITED, "entry 17")]),
    (["{edit:17}", "{edit:600}"], [(Fault.ENTRY_EDITED, "entry 17"), (Fault.ENTRY_EDITED, "entry 600")]),
    (
        ["{edit:17}", "{rehash:17}"],
        [
            (Fault.CHECKPOINT_CONTRADICTED, "checkpoint 250 (at 0 it is right)"),
            (Fault.TILE_WRONG, "tile/0/000 (entry 17)"),
        ],
    ),
    (
        ["{edit:600}", "{rehash:600}"],
        [(Fault.CHECKPOINT_CONTRADICTED, "checkpoint 699 (at 500 it is right)")],
    ),
    (["DELETE FROM entry WHERE index = 300"], [(Fault.ENTRY_MISSING, "entry 300")]),
    (
        ["DELETE FROM entry WHERE index BETWEEN 300 AND 350 OR index = 9"],
        [(Fault.ENTRY_MISSING, "entry 9"), (Fault.ENTRY_MISSING, "entries 300-350")],
    ),
    (
        ["DELETE FROM entry WHERE index >= 690"],
        [(Fault.CHECKPOINT_BEYOND, "checkpoint 699"), (Fault.CHECKPOINT_BEYOND, "checkpoint 700")],
    ),
    (
        ["UPDATE entry SET body = '1', leaf = sha256('\\x00'::bytea || '1') WHERE index = 650"],
        [
            (Fault.ENTRY_MALFORMED, "entry 650"),
            (Fault.CHECKPOINT_CONTRADICTED, "checkpoint 699 (at 500 it is right)"),
        ],
    ),
    (["UPDATE entry SET entry_id = gen_random_uuid() WHERE index = 3"], [(Fault.ENTRY_MISNAMED, "entry 3")]),
    (["DELETE FROM tile WHERE index = 1"], [(Fault.TILE_MISSING, "tile/0/001")]),
    (["{swap:33}"], [(Fault.TILE_WRONG, "tile/0/000 (entry 1)")]),
    (["UPDATE tile SET root = sha256('x') WHERE index = 1"], [(Fault.TILE_WRONG, "the root of tile/0/001")]),
    (
        ["INSERT INTO tile SELECT level, 2, hashes, root FROM tile WHERE index = 1"],
        [(Fault.TILE_SURPLUS, "tile 2 of level 0")],
    ),
    (["UPDATE checkpoint SET note = 'x' WHERE size = 250"], [(Fault.CHECKPOINT_FORGED, "checkpoint 250")]),
    (
        ["INSERT INTO checkpoint SELECT 260, note FROM checkpoint WHERE size = 250"],
        [(Fault.CHECKPOINT_FORGED, "checkpoint 260")],
    ),
    (["INSERT INTO detail VALUES (gen_random_uuid(), 0, substr(sha256('x'), 1, 16), '')"], "detail 0 of"),
    (
        ["INSERT INTO detail SELECT entry_id, 7, substr(sha256('x'), 1, 16), '' FROM entry WHERE index = 1"],
        "detail 7 of",
    ),
    (["UPDATE unreadable SET message = 'y'"], [(Fault.UNREADABLE_EDITED, "entry 699")]),
    (["DELETE FROM unreadable"], [(Fault.UNREADABLE_MISSING, "entry 699")]),
    (["INSERT INTO pending (entry_id, body) VALUES (gen_random_uuid(), '')"], "arrival "),
]  # fmt: skip


async def found(log, **options):
    report = await check_log(log.database, [log.key.verifier], **options)
    return [(finding.fault, finding.place) for finding in report.findings]


@pytest.fixture
async def filled(log, vault):
    """A log of 700 entries, signed at 0, 250, 500 and 699; the last one stands for an unreadable message."""
    sequencer = log.sequencer(batch=250)
    await log.submit(699)
    await log.drain(sequencer)
    async with log.database.transaction() as session:
        message = Message("audit.entry.intake", 0, 0, (), b"x", b"{broken", ordered=False)
        await submit_unreadable(session, message, vault=vault)
    await log.drain(sequencer)
    return log


async def test_a_sound_log_has_no_findings(filled):
    progress = []
    await filled.submit(3)
    report = await check_log(
        filled.database,
        [filled.key.verifier],
        anchor=filled.anchor,
        progress=lambda done, size: progress.append((done, size)),
    )
    assert report.findings == []
    assert (report.size, report.signed, report.checkpoints, report.pending) == (700, 700, 5, 3)
    assert progress == [(700, 700)]


async def test_an_empty_log_is_sound(log):
    assert await found(log) == []
    await log.drain()
    assert await found(log, anchor=log.anchor) == []


async def test_entries_without_a_checkpoint_are_no_fault(filled):
    await filled.tamper("DELETE FROM checkpoint WHERE size > 500")
    report = await check_log(filled.database, [filled.key.verifier])
    assert (report.findings, report.size - report.signed) == ([], 200)


async def test_what_is_wrong_is_told_once_and_where(filled):
    for table in KEPT:
        await filled.run(f"CREATE TABLE kept_{table} AS TABLE {table}")
    for statements, findings in CASES:
        await filled.tamper(*(made(filled, statement) for statement in statements))
        told = await found(filled)
        if isinstance(findings, str):
            assert [place.startswith(findings) for _, place in told] == [True], statements
        else:
            assert told == findings, statements
        for table in KEPT:
            fill = f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE kept_{table}"
            await filled.tamper(f"TRUNCATE {table}", fill)
        assert await found(filled) == []


def made(log, statement: str) -> str:
    """The statement that a short form stands for."""
    kind, _, number = statement.strip("{}").partition(":")
    forms = {
        "edit": log.EDIT.format(number),
        "rehash": log.REHASH.format(number),
        "swap": SWAP.format(at=number, level=0),
    }
    return forms.get(kind) or statement


async def test_a_guard_that_is_off_is_told(filled):
    await filled.run("ALTER TABLE tile DISABLE TRIGGER only_grows")
    assert await found(filled) == [(Fault.GUARD_OFF, "tile")]


async def test_what_witnesses_cosigned_is_checked(filled):
    witness = WitnessSigningKey.generate("witness.example/fire")
    async with filled.database.transaction() as session:
        rows = (await session.execute(text("SELECT size, note FROM checkpoint ORDER BY size"))).all()
        for size, note in rows:
            values = {
                "size": size,
                "key": str(witness.verifier),
                "line": witness.cosign(Note.parse(note).text, 9).line(),
            }
            statement = "INSERT INTO cosignature (size, witness, cosigned_at, line) VALUES (:size, :key, 9, :line)"
            await session.execute(text(statement), values)
    assert await found(filled) == []
    forged = (Fault.COSIGNATURE_FORGED, "cosignature of witness.example/fire on checkpoint 500")
    missing = (Fault.CHECKPOINT_MISSING, "checkpoint 600")
    other = str(WitnessSigningKey.generate("witness.example/fire").verifier)
    await filled.run("CREATE TABLE kept AS TABLE cosignature")
    for statement, finding in (
        ("UPDATE cosignature SET cosigned_at = 10 WHERE size = 500", forged),
        ("UPDATE cosignature SET line = 'x' WHERE size = 500", forged),
        (f"UPDATE cosignature SET witness = '{other}' WHERE size = 500", forged),  # noqa: S608
        ("UPDATE cosignature SET line = (SELECT line FROM kept WHERE size = 250) WHERE size = 500", forged),
        ("INSERT INTO cosignature SELECT 600, witness, 9, line FROM kept LIMIT 1", missing),
    ):
        await filled.tamper(statement)
        assert await found(filled) == [finding], statement
        await filled.tamper("TRUNCATE cosignature", "INSERT INTO cosignature TABLE kept")
    await filled.tamper("UPDATE checkpoint SET note = 'x' WHERE size = 500")
    assert await found(filled) == [(Fault.CHECKPOINT_FORGED, "checkpoint 500")]


async def test_the_anchor_is_compared(filled):
    await filled.run("ALTER TABLE anchor DISABLE TRIGGER ALL")
    for statement, finding in (
        ("UPDATE anchor SET size = 500", (Fault.ANCHOR_CONTRADICTED, "anchor 500")),
        ("UPDATE anchor SET size = 900", (Fault.ANCHOR_BEYOND, "anchor 900")),
        ("DELETE FROM anchor", (Fault.ANCHOR_MISSING, "anchor")),
    ):
        await filled.run(statement)
        assert await found(filled, anchor=filled.anchor) == [finding]
        assert await found(filled) == []


async def test_a_checkpoint_of_a_strange_key_is_told(filled):
    report = await check_log(filled.database, [SigningKey.generate(filled.origin).verifier])
    assert {finding.fault for finding in report.findings} == {Fault.CHECKPOINT_FORGED}
    assert (await check_log(filled.database, [])).findings == []


async def test_a_tile_of_level_one_is_judged_by_the_tiles_under_it(log):
    await log.fill(65_600)
    await log.drain(log.sequencer(batch=30_000))
    await log.tamper(SWAP.format(at=40, level=1))
    assert await found(log) == [(Fault.TILE_WRONG, "tile/1/000")]
    await log.tamper(SWAP.format(at=40, level=1), log.EDIT.format(300), log.REHASH.format(300))
    assert await found(log) == [
        (Fault.TILE_WRONG, "tile/0/001 (entry 300)"),
        (Fault.CHECKPOINT_CONTRADICTED, "checkpoint 30000 (at 0 it is right)"),
    ]


def test_every_fault_has_its_words():
    assert set(TEXTS) == set(Fault)
    chinese, english = Finding(Fault.ENTRY_EDITED, "entry 17").told()
    assert "entry 17" in chinese
    assert english == "entry 17 was edited: it does not have its leaf hash"


async def fsck(*arguments: str) -> tuple[int, str, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "doorstep.cli", "audit", "fsck", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await child.communicate()
    return child.returncode or 0, out.decode(), errors.decode()


async def test_the_command_says_what_is_wrong(filled):
    given = ("--database", filled.url, "--anchor", filled.second_url, "--vkey", str(filled.key.verifier))
    status, out, _ = await fsck(*given)
    assert (status, "Sound: 700 entries" in out) == (0, True)
    await filled.tamper(filled.EDIT.format(17))
    status, out, errors = await fsck(*given)
    assert (status, "1 findings" in out, "entry 17 was edited" in errors) == (1, True, True)
    status, out, _ = await fsck(*given, "--json")
    assert (status, json.loads(out)["findings"]) == (1, [{"fault": "entry-edited", "place": "entry 17"}])


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--database", "mysql://x/y"], 2, "postgresql://USER@HOST/DATABASE"),
        (["--database", "postgresql://nobody@127.0.0.1:1/none"], 1, "does not answer"),
        (["--database", "postgresql://x/y", "--vkey", "what"], 2, "verifier key"),
        (["--database", "postgresql://x/y", "--anchor", "postgresql://x/y"], 2, "give --vkey"),
        ([], 2, "--database"),
    ],
)
async def test_a_wrong_request_is_told(arguments, status, said):
    told = await fsck(*arguments)
    assert (told[0], said in told[2], "Traceback" in told[2]) == (status, True, False), told
