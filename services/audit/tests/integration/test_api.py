"""The log over real HTTP, as strangers' verifiers and the command line read it."""

import asyncio
import base64
import json
import shutil
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from uuid import uuid4

import aiohttp
import pytest
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tlog import InclusionProof
from typer.testing import CliRunner

from doorstep.audit.commands import application
from doorstep.audit.domain.checkpoint import open_checkpoint
from doorstep.audit.domain.merkle import check_inclusion
from doorstep.audit.domain.note import SigningKey
from doorstep.audit.domain.receipt import check_receipt, parse_receipt
from doorstep.audit.settings import settings_of

SIZE = 600


@pytest.fixture
async def ids(log):
    """The ids of the entries in the log."""
    ids = await log.submit(SIZE)
    await log.drain()
    return ids


@pytest.fixture
async def get(url):
    """Gives status, headers and body of an answer."""
    async with aiohttp.ClientSession() as session:

        async def get(path: str, **headers: str):
            async with session.get(f"{url}/{path}", headers=headers) as response:
                return response.status, response.headers, await response.read()

        yield get


async def test_the_checkpoint_is_text_that_is_not_kept(get, log, ids):
    status, headers, body = await get("checkpoint")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert headers["cache-control"] == "public, max-age=1"
    signed = parsedate_to_datetime(headers["last-modified"])
    assert timedelta(0) <= datetime.now(UTC) - signed < timedelta(minutes=5)
    assert open_checkpoint(body, log.origin, [log.key.verifier]).size == SIZE


async def test_the_verifier_key_is_told(get, log):
    status, headers, body = await get("vkey")
    assert (status, body.decode()) == (200, f"{log.key.verifier}\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"


async def test_old_keys_are_told_beside_the_new_one(get, service, log, tmp_path):
    old = SigningKey.generate(log.origin).verifier
    assert (await get("vkeys"))[2].decode() == f"{log.key.verifier}\n"
    service.settings.log_key.write_text(f"{log.key.encode()}\n{old}\n")
    assert settings_of(service).verifier_keys() == (log.key.verifier, old)
    for text in ("", f"{old}\n", "PRIVATE+KEY+nonsense", SigningKey.generate("another.example/log").encode()):
        service.settings.log_key.write_text(text)
        with pytest.raises(ValueError, match=r"log\.key"):
            settings_of(service).verifier_keys()


async def test_tiles_are_bytes_that_never_change(get, ids):
    sizes = {"tile/0/000": 8192, "tile/0/002.p/88": 2816, "tile/0/001.p/7": 224, "tile/1/000.p/2": 64}
    for path, size in sizes.items():
        status, headers, body = await get(path)
        assert (status, headers["content-type"], len(body)) == (200, "application/octet-stream", size)
        assert headers["cache-control"] == "public, max-age=31536000, immutable"


ABSENT = """
tile/0/002 tile/0/002.p/89 tile/0/003 tile/1/000 tile/1/000.p/3 tile/2/000 tile/2/000.p/1 tile/entries/002
tile/entries/002.p/89 tile/entries/003.p/1 tile/0/0 tile/0/000.p/0 tile/0/000.p/256 tile/x/000 tile/0/x000/000
tile/0/%00 tile/64/000 tile/0/999999999999 tile/ tile/63/000.p/1 tile/0/x999/x999/x999/x999/x999/999.p/1
"""


async def test_a_tile_that_the_log_does_not_have_is_not_there(get, ids):
    for path in ABSENT.split():
        status, headers, body = await get(path, **{"Accept-Language": "en"})
        assert (status, headers["content-type"]) == (404, "application/problem+json"), path
        assert json.loads(body)["detail"] == "The log has no such tile under its newest checkpoint."
        assert "immutable" not in headers.get("cache-control", "")


async def test_before_the_first_checkpoint_the_log_has_not_begun(get):
    assert [(await get(path))[0] for path in ("checkpoint", "tile/0/000")] == [503, 503]


async def test_what_is_stored_and_not_signed_is_not_shown(get, log):
    await log.drain()
    [entry_id] = await log.submit(1)
    assert (await get("tile/0/000.p/1"))[0] == 404
    status, headers, body = await get(f"proof/inclusion?entry_id={entry_id}")
    assert (status, json.loads(body)["type"]) == (404, "urn:doorstep:problem:entry-pending")
    assert headers["retry-after"] == "1"


async def test_an_entry_is_proved_to_be_in_the_log(get, log, ids):
    for entry_id in (ids[0], ids[300], ids[-1]):
        status, _, body = await get(f"proof/inclusion?entry_id={entry_id}")
        assert status == 200
        told = json.loads(body)
        signed = open_checkpoint(told["checkpoint"].encode(), log.origin, [log.key.verifier])
        leaf = base64.b64decode(told["leaf_hash"])
        proof = [base64.b64decode(hash_) for hash_ in told["proof"]]
        check_inclusion(leaf, told["index"], told["size"], proof, signed.root)
        InclusionProof(told["index"], told["size"], proof).check(leaf, signed.root)
        assert (told["entry_id"], told["size"]) == (str(entry_id), signed.size)


async def test_a_receipt_is_checked_without_the_log(get, log, url, ids, tmp_path):
    for number in (0, 300, SIZE - 1):
        status, headers, body = await get(f"proof/receipt?entry_id={ids[number]}")
        assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        entry, checkpoint = check_receipt(parse_receipt(body), log.origin, [log.key.verifier])
        assert (entry.id, checkpoint.size) == (ids[number], SIZE)
    file, key = tmp_path / "mine.tlog-proof", str(log.key.verifier)
    assert (await doorstep("receipt", str(ids[7]), "--url", url, "--out", str(file)))[0] == 0
    status, out = await doorstep("check-receipt", str(file), "--vkey", key, "--json")
    assert (status, json.loads(out)["entry_id"], json.loads(out)["verified"]) == (0, str(ids[7]), True)
    stranger = str(SigningKey.generate(log.origin).verifier)
    for arguments, expected, said in (
        ((str(file), "--vkey", key), 0, "Valid: entry "),
        ((str(file), "--vkey", stranger), 1, "The receipt proves nothing"),
        ((str(file), "--vkey", "nonsense"), 2, "Wrong request"),
        ((str(tmp_path / "none"), "--vkey", key), 2, "Wrong request"),
    ):
        status, out = await doorstep("check-receipt", *arguments)
        assert (status, said in out) == (expected, True)
    status, out = await doorstep("receipt", str(uuid4()), "--url", url, "--out", str(tmp_path / "none"))
    assert (status, "it has no such entry" in out, (tmp_path / "none").exists()) == (1, True, False)
    status, out = await doorstep("receipt", str(ids[7]), "--url", url, "--out", str(tmp_path / "no" / "folder"))
    assert (status, "Wrong request" in out) == (2, True)


async def test_what_is_no_entry_has_no_proof(get, ids):
    for query, status in ((f"?entry_id={uuid4()}", 404), ("?entry_id=7", 422), ("", 422)):
        assert (await get(f"proof/inclusion{query}"))[0] == status
        assert (await get(f"proof/receipt{query}"))[0] == status


async def test_a_reader_of_others_reads_all_of_it(get, log, ids):
    parts = {path: (await get(path))[2] for path in ("checkpoint", "vkey")}
    for path in ("tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/001"):
        parts[path] = (await get(path))[2]

    class Backend:
        def get(self, *path):
            return parts.get("/".join(path))

    reader = TilesReader(Backend())
    checkpoint = reader.get_checkpoint()
    checkpoint.verify(Vkey.from_string(parts["vkey"].decode().strip()))
    assert reader.calculate_root_hash() == checkpoint.root_hash
    assert str(ids[300]) in reader.get_entry(300).decode()


async def doorstep(*arguments: str) -> tuple[int, str]:
    """Exit status and what `doorstep audit` prints."""
    result = await asyncio.to_thread(CliRunner().invoke, application, arguments)
    return result.exit_code, result.output


async def test_the_command_is_installed(url, log, ids):
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "doorstep.cli", "audit", "verify", "--url", url, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert (child.returncode, "Verified: 600 entries have the signed root." in out.decode()) == (0, True)


async def test_the_command_verifies_from_outside(url, log, ids, tmp_path):
    saved = tmp_path / "checkpoint"
    status, out = await doorstep("verify", "--url", url, "--json", "--save", str(saved))
    assert (status, json.loads(out)["entries"]) == (0, SIZE)
    await log.submit(50)
    await log.drain()
    status, out = await doorstep("verify", "--url", url, "--vkey", str(log.key.verifier), "--saved", str(saved))
    assert (status, out.splitlines()[1]) == (0, "Verified: 650 entries have the signed root.")


async def test_an_export_is_a_mirror_on_any_file_server(url, log, ids, tmp_path):
    key, folder = str(log.key.verifier), tmp_path / "mirror"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_port}"
        for size in (SIZE, SIZE + 50):
            status, out = await doorstep("export", str(folder), "--url", url, "--vkey", key, "--json")
            assert (status, json.loads(out)["entries"]) == (0, size)
            status, out = await doorstep("verify", "--url", mirror, "--vkey", key, "--json")
            assert (status, json.loads(out)["entries"]) == (0, size)
            await log.submit(50)
            await log.drain()
        server.shutdown()
    await log.tamper(log.EDIT.format(300))
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    shutil.rmtree(folder / "tile" / "entries")
    status, out = await doorstep("export", str(folder), "--url", url, "--vkey", key)
    assert (status, "entry 300 was edited" in out) == (1, True)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}.items() <= before.items()


class Quiet(SimpleHTTPRequestHandler):
    """A file server that tells nothing."""

    def log_message(self, *_: object) -> None: ...


async def test_the_command_names_an_edited_row(url, log, ids):
    await log.tamper(log.EDIT.format(300))
    status, out = await doorstep("verify", "--url", url, "--json")
    told = json.loads(out)
    assert (status, told["verified"], told["error"], told["indexes"]) == (1, False, "EntryEdited", [300])
    status, out = await doorstep("verify", "--url", url)
    assert status == 1
    assert "entry 300 was edited" in out


async def test_the_command_refuses_a_strangers_key_and_says_what_is_wrong(url, log, ids, tmp_path):
    stranger = str(SigningKey.generate(log.origin).verifier)
    assert "no signature of a trusted key" in (await doorstep("verify", "--url", url, "--vkey", stranger))[1]
    for arguments, status, said in (
        (("--url", url, "--vkey", stranger), 1, "CheckpointRejected"),
        (("--url", url, "--vkey", "no key"), 2, "Malformed"),
        (("--url", url, "--saved", str(tmp_path / "none")), 2, "FileNotFoundError"),
        (("--url", "http://127.0.0.1:9/api/log"), 1, "LogUnreachable"),
        (("--url", url.replace("/api/log", "")), 1, "LogUnreachable"),
        (("--url", "no url"), 1, "LogUnreachable"),
    ):
        code, out = await doorstep("verify", *arguments, "--json")
        assert (code, json.loads(out)["error"]) == (status, said), arguments
