"""A receipt as a QR code: what a reader of others decodes from the picture is checked as any receipt."""

import asyncio
import re
import secrets
import zlib
from uuid import uuid4

import aiohttp
import pytest
import zxingcpp
from typer.testing import CliRunner

from doorstep.audit.commands import application
from doorstep.audit.domain import qr
from doorstep.audit.domain.checkpoint import Checkpoint
from doorstep.audit.domain.cosignature import WitnessSigningKey
from doorstep.audit.domain.entry import Entry
from doorstep.audit.domain.errors import TooLong
from doorstep.audit.domain.quorum import attach
from doorstep.audit.domain.receipt import Receipt, check_receipt, parse_receipt
from doorstep.audit.operations.submitting import Submission

TEN_MILLION = 10_000_000


def decoded(modules: list[list[bool]]) -> bytes:
    """What a reader finds in a picture of these modules, each drawn as a few dots; True is dark."""
    dots = 3
    lines = [bytes(0 if dark else 255 for dark in row for _ in range(dots)) for row in modules for _ in range(dots)]
    picture = memoryview(b"".join(lines)).cast("B", (len(lines), len(lines[0])))
    [found] = zxingcpp.read_barcodes(picture)
    return bytes(found.bytes)


def from_svg(picture: bytes) -> list[list[bool]]:
    """The modules of an SVG that draws each run of dark ones as a horizontal line."""
    said = picture.decode()
    width, height = (int(re.search(rf'{name}="(\d+)"', said)[1]) for name in ("width", "height"))
    modules = [[False] * width for _ in range(height)]
    x = y = 0.0
    for step, numbers in re.findall(r"([Mmh])([-\d. ]+)", re.search(r' d="([^"]+)"', said)[1]):
        values = [float(one) for one in re.findall(r"-?[\d.]+", numbers)]
        if step == "h":
            for place in range(int(x), int(x + values[0])):
                modules[int(y)][place] = True
            x += values[0]
        else:
            x, y = (values[0], values[1]) if step == "M" else (x + values[0], y + values[1])
    return modules


def from_png(picture: bytes) -> list[list[bool]]:
    """The dots of a PNG of one bit a dot, whose lines stand as they are or say how they differ from the one above."""
    chunks, at = {}, 8
    while at < len(picture):
        length, kind = int.from_bytes(picture[at : at + 4]), picture[at + 4 : at + 8]
        chunks[kind] = chunks.get(kind, b"") + picture[at + 8 : at + 8 + length]
        at += 12 + length
    width, height = (int.from_bytes(chunks[b"IHDR"][at : at + 4]) for at in (0, 4))
    assert chunks[b"IHDR"][8:10] == b"\x01\x00"
    data, step = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 7) // 8
    rows: list[bytes] = [bytes(step - 1)]
    for row in range(height):
        kind, line = data[row * step], data[row * step + 1 : (row + 1) * step]
        assert kind in (0, 2)
        rows.append(line if kind == 0 else bytes((a + b) % 256 for a, b in zip(line, rows[-1], strict=True)))
    return [[not row[x // 8] >> (7 - x % 8) & 1 for x in range(width)] for row in rows[1:]]


async def doorstep(*arguments: str) -> tuple[int, str]:
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


@pytest.fixture
async def entry_id(log):
    """The id of an entry with four commitments, among others."""
    await log.submit(300)
    entry = Entry(uuid4(), "2026-11-21T10", tuple(secrets.token_bytes(32) for _ in range(4)))
    await log.submit_these([Submission(entry.id, entry.encode())])
    await log.submit(200)
    await log.drain()
    return entry.id


@pytest.mark.parametrize(("name", "modules"), [("mine.svg", from_svg), ("mine.PNG", from_png)])
async def test_a_qr_of_the_command_is_decoded_and_checked_offline(log, url, entry_id, tmp_path, name, modules):
    picture, text = tmp_path / name, tmp_path / "decoded"
    status, out = await doorstep("receipt", str(entry_id), "--url", url, "--qr", str(picture))
    assert (status, str(picture) in out) == (0, True)
    text.write_bytes(decoded(modules(picture.read_bytes())))
    status, out = await doorstep("check-receipt", str(text), "--vkey", str(log.key.verifier), "--json")
    assert (status, f'"entry_id": "{entry_id}"' in out) == (0, True)
    text.write_bytes(text.read_bytes().replace(b"index 300", b"index 301"))
    assert (await doorstep("check-receipt", str(text), "--vkey", str(log.key.verifier)))[0] == 1


async def test_the_interface_draws_the_receipt_that_it_tells(log, url, entry_id):
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{url}/proof/receipt.svg?entry_id={entry_id}") as answer:
            assert (answer.status, answer.content_type) == (200, "image/svg+xml")
            text = decoded(from_svg(await answer.read()))
        async with client.get(f"{url}/proof/receipt?entry_id={entry_id}") as answer:
            assert text == await answer.read()
        entry, _ = check_receipt(parse_receipt(text), log.origin, [log.key.verifier])
        assert entry.id == entry_id
        for query, status in ((f"?entry_id={uuid4()}", 404), ("?entry_id=7", 422), ("", 422)):
            async with client.get(f"{url}/proof/receipt.svg{query}") as answer:
                assert answer.status == status


async def test_what_is_too_long_for_one_code_is_said_so_and_the_text_serves(log, url, tmp_path):
    entry = Entry(uuid4(), "2026-11-21T10", tuple(secrets.token_bytes(32) for _ in range(40)))
    await log.submit_these([Submission(entry.id, entry.encode())])
    await log.drain()
    address = f"{url}/proof/receipt.svg?entry_id={entry.id}"
    async with aiohttp.ClientSession() as client, client.get(address) as answer:
        assert (answer.status, (await answer.json())["type"]) == (413, "urn:doorstep:problem:receipt-too-long")
    status, out = await doorstep("receipt", str(entry.id), "--url", url, "--qr", str(tmp_path / "mine.svg"))
    assert (status, "too long for one QR code" in out, (tmp_path / "mine.svg").exists()) == (1, True, False)
    assert (await doorstep("receipt", str(entry.id), "--url", url, "--out", str(tmp_path / "mine")))[0] == 0


@pytest.mark.parametrize("options", [(), ("--qr", "mine.gif"), ("--qr", "mine")])
async def test_a_command_that_names_no_file_for_a_receipt_is_told_so(url, options):
    status, out = await doorstep("receipt", str(uuid4()), "--url", url, *options)
    assert (status, "Wrong request" in out) == (2, True)


def large(log, commitments: int, *, size: int = TEN_MILLION, witnesses: int = 3) -> bytes:
    """A receipt in a log of so many entries, cosigned by so many, of an entry with so many commitments."""
    entry = Entry(uuid4(), "2026-11-21T10", tuple(secrets.token_bytes(32) for _ in range(commitments)))
    checkpoint = Checkpoint(log.origin, size, secrets.token_bytes(32))
    note = checkpoint.sign(log.key)
    keys = [WitnessSigningKey.generate(f"witness.example/agency-{number}") for number in range(witnesses)]
    lines = [key.cosign(checkpoint.body, 1_795_000_000).line() for key in keys]
    levels = (size - 1).bit_length()
    proof = tuple(secrets.token_bytes(32) for _ in range(levels))
    return Receipt(size - 2, proof, attach(note, lines), extra=entry.encode()).encode()


def test_at_ten_million_entries_with_three_cosignatures_a_household_s_receipt_fits(log):
    sizes = {commitments: len(large(log, commitments)) for commitments in (4, 8, 12, 16)}
    assert [commitments for commitments, size in sizes.items() if size <= qr.QR_BYTES] == [4, 8, 12]
    for commitments in (4, 12):
        text = large(log, commitments)
        assert decoded(from_svg(qr.svg(text))) == decoded(from_png(qr.png(text))) == text
    with pytest.raises(TooLong):
        qr.svg(large(log, 16))
