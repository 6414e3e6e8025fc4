"""Key-encryption keys in their file: kept before they are used, gone when they are destroyed, and nobody else's."""

import base64
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from doorstep.keystore.errors import KekMissing, KeksElsewhere, NoKeks
from doorstep.keystore.keks import Bound, LocalKeks, split_keyset
from doorstep.kit import keyset as keysets
from doorstep.kit.keyset import SM4GCM, Algorithm, Keyset, SealBroken, Suite, new_keyset
from doorstep.kit.vault import Vault

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()
BEFORE = {"current": "1", "keks": {"1": KEY}, "index": KEY, "pairwise": OTHER}
BOUND = Bound(b"somebody|1|1", b"d" * 32)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A keyset as it was before the key store was a program of its own, and where its keys are to go."""
    (tmp_path / "keyset.json").write_text(json.dumps(BEFORE))
    return tmp_path / "keyset.json", tmp_path / "keks.json"


async def test_a_keyset_of_before_is_split_and_opens_what_it_opened(files) -> None:
    keyset, keks = files
    index = Vault(None, Keyset(keyset)).blind_index("phone", "169")
    wrapped = await LocalKeks(keyset).wrap("1", [BOUND])
    for _ in range(2):
        split_keyset(keyset, keks)
        assert "keks" not in json.loads(keyset.read_text())
        assert KEY not in keks.read_text().replace(KEY, "", 1)
        assert await LocalKeks(keks).unwrap("1", [Bound(BOUND.binding, wrapped[0])]) == [BOUND.key]
    assert Vault(None, Keyset(keyset)).blind_index("phone", "169") == index
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert sorted(path.name for path in keyset.parent.iterdir()) == ["keks.json", "keyset.json"]


@pytest.mark.parametrize("line", ["link", "fsync", "rename"])
def test_a_split_that_dies_between_two_lines_loses_no_key_and_is_finished_by_the_next(files, monkeypatch, line) -> None:
    keyset, keks = files

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    for nth in range(4):
        with monkeypatch.context() as patched:
            real, left = getattr(Path, line, None) or getattr(os, line), [nth]

            def counted(*given, real=real, left=left):
                left[0] -= 1
                return die() if left[0] < 0 else real(*given)

            patched.setattr(Path if line == "rename" else os, line, counted)
            with suppress(KeyboardInterrupt):
                split_keyset(keyset, keks)
        held = [json.loads(path.read_text()).get("keks", {}) for path in files if path.exists()]
        assert {"1": KEY} in held
    split_keyset(keyset, keks)
    assert json.loads(keks.read_text())["keks"] == {"1": KEY}
    assert "keks" not in json.loads(keyset.read_text())


def test_other_keys_of_one_name_are_not_mixed_and_others_are_added(files) -> None:
    keyset, keks = files
    keks.write_text(json.dumps({"store": "s", "keks": {"1": OTHER}}))
    with pytest.raises(NoKeks, match="different keys"):
        split_keyset(keyset, keks)
    assert json.loads(keyset.read_text()) == BEFORE
    keks.write_text(json.dumps({"store": "s", "keks": {"2": OTHER}}))
    split_keyset(keyset, keks)
    assert json.loads(keks.read_text()) == {"store": "s", "keks": {"1": KEY, "2": OTHER}}


def test_without_a_keyset_nothing_is_split(tmp_path) -> None:
    for content in (None, "", "[]", "no"):
        if content is not None:
            (tmp_path / "keyset.json").write_text(content)
        split_keyset(tmp_path / "keyset.json", tmp_path / "keks.json")
        assert not (tmp_path / "keks.json").exists()


async def test_a_key_is_kept_before_it_wraps_and_gone_once_it_is_destroyed(tmp_path) -> None:
    keks, other = LocalKeks(tmp_path / "keks.json"), LocalKeks(tmp_path / "keks.json")
    first, second = await keks.make([]), await keks.make([])
    wrapped = await keks.wrap(first, [BOUND])
    assert await other.unwrap(first, [Bound(BOUND.binding, wrapped[0])]) == [BOUND.key]
    for wrong in (b"", wrapped[0][:-1], wrapped[0][:-1] + bytes([wrapped[0][-1] ^ 1])):
        with pytest.raises(SealBroken):
            await keks.unwrap(first, [Bound(BOUND.binding, wrong)])
    with pytest.raises(SealBroken):
        await keks.unwrap(first, [Bound(b"somebody else|1|1", wrapped[0])])
    await keks.keep_only([second])
    assert await other.names() == {second}
    for one in (keks, LocalKeks(tmp_path / "keks.json")):
        with pytest.raises(KekMissing):
            await one.unwrap(first, [Bound(BOUND.binding, wrapped[0])])


async def test_a_file_serves_one_key_store(tmp_path) -> None:
    keks = LocalKeks(tmp_path / "keks.json")
    await keks.bind("one")
    await keks.bind("one")
    with pytest.raises(KeksElsewhere):
        await keks.bind("two")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"keks": []}', '{"keks": {"1": "!"}}', '{"keks": {"1": {}}}'])
async def test_what_holds_no_keys_is_one_error_that_shows_nothing_of_it(tmp_path, content) -> None:
    (tmp_path / "keks.json").write_text(content)
    keks = LocalKeks(tmp_path / "keks.json")
    for ask in (keks.names(), keks.make([]), keks.bind("one"), keks.wrap("1", [BOUND])):
        with pytest.raises(NoKeks, match=r"^keks\.json: \w+$"):
            await ask
    assert (tmp_path / "keks.json").read_text() == content


# --- the national suite -------------------------------------------------------------------------------------------


def test_sm4_in_gcm_is_that_of_rfc_8998() -> None:
    plain = bytes.fromhex("".join(letter * 16 for letter in "ABCDEFEA"))
    nonce, more = bytes.fromhex("00001234567800000000ABCD"), bytes.fromhex("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2")
    cipher = SM4GCM(bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"))
    expected = (
        "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735"
        "D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D"
        "83DE3541E4C2B58177E065A9BF7B62EC"
    )
    assert cipher.encrypt(nonce, plain, more) == bytes.fromhex(expected)
    assert cipher.decrypt(nonce, bytes.fromhex(expected), more) == plain


def test_an_hmac_with_sm3_is_that_of_rfc_2104() -> None:
    def sm3(data: bytes) -> bytes:
        made = keysets.hashes.Hash(keysets.hashes.SM3())
        made.update(data)
        return made.finalize()

    assert sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"  # GB/T 32905, A.1
    key = b"k" * 32 + bytes(32)
    inner, outer = bytes(one ^ 0x36 for one in key), bytes(one ^ 0x5C for one in key)
    assert Suite.NATIONAL.digest(b"k" * 32, b"data") == sm3(outer + sm3(inner + b"data"))


async def test_a_national_keyset_and_file_stay_what_they_are_and_read_what_was_aes(tmp_path) -> None:
    for suite in (Suite.NATIONAL, Suite.INTERNATIONAL):  # the second start says otherwise
        new_keyset(tmp_path / "keyset.json", suite)
    national = Keyset(tmp_path / "keyset.json")
    assert national.suite is Suite.NATIONAL
    assert national.reveal("holder", national.conceal("holder", b"x" * 16)) == b"x" * 16
    aes, sm4 = (LocalKeks(tmp_path / "keks.json", suite) for suite in (Suite.INTERNATIONAL, Suite.NATIONAL))
    names = [await aes.make([]), await sm4.make([])]
    kept = json.loads((tmp_path / "keks.json").read_text())["keks"]
    assert [kept[name]["algorithm"] for name in names] == [Algorithm.AES, Algorithm.SM4]
    for name in names:
        [wrapped] = await aes.wrap(name, [BOUND])
        assert await sm4.unwrap(name, [Bound(BOUND.binding, wrapped)]) == [BOUND.key]
