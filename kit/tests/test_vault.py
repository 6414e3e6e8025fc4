"""What is sealed opens for the right subject, context and version alone; what was erased stays erased."""

import asyncio
import base64
import json
import re
import stat
import threading
import time
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from doorstep.contracts.audit import AuditDetail
from doorstep.contracts.codes import Action, LegalBasis, Purpose
from doorstep.contracts.intake import Card
from doorstep.contracts.referral import Rating
from doorstep.contracts.sealed import Sealed
from doorstep.keystore.app import local_table
from doorstep.kit import intents
from doorstep.kit import vault as vaults
from doorstep.kit.auth import Principal, Role
from doorstep.kit.db import Database
from doorstep.kit.intents import Intent
from doorstep.kit.keyset import NOBODY, Keyset, SealBroken, new_keyset
from doorstep.kit.testing import eventually, running
from doorstep.kit.vault import SubjectErased, Vault
from doorstep.local.ports import free_ports

RATING = Rating(solved=True, stars=5)


async def test_what_was_sealed_is_opened_whole_by_another_instance(vault):
    subject = uuid4()
    sealed = (await vault.ring([subject], create=True)).seal(subject, RATING)
    again = Sealed[Rating].model_validate_json(sealed.model_dump_json())
    other = Vault(vault.store, vault._keyset)
    assert (await other.ring([subject])).open(again, Rating) == RATING
    assert "5" not in str(base64.b64decode(sealed.ciphertext)[12:15]) or sealed.ciphertext


async def test_the_same_content_is_never_the_same_ciphertext(vault):
    subject = uuid4()
    ring = await vault.ring([subject], create=True)
    assert len({ring.seal(subject, RATING).ciphertext for _ in range(50)}) == 50


async def test_a_seal_does_not_open_for_another_subject_context_or_version(vault):
    one, two = uuid4(), uuid4()
    ring = await vault.ring([one, two], create=True)
    sealed = ring.seal(one, RATING)
    for changed in ({"subject_id": two}, {"key_version": 2}, {"key_version": -1}, {"key_version": 2**40}):
        with pytest.raises(SealBroken):
            ring.open(sealed.model_copy(update=changed), Rating)
    with pytest.raises(SealBroken):
        ring.open(sealed, Card)
    blob = ring.encrypt(one, "note.text:1", b"x")
    for subject, context in ((two, "note.text:1"), (one, "note.text:2"), (one, "note.body:1")):
        with pytest.raises(SealBroken) as broken:
            ring.decrypt(subject, context, blob)
        assert str(one) not in str(broken.value)
    assert ring.decrypt(one, "note.text:1", blob) == b"x"


async def test_every_changed_byte_breaks_the_seal(vault):
    subject = uuid4()
    ring = await vault.ring([subject], create=True)
    blob = ring.encrypt(subject, "a.b:1", b"content")
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 1
        with pytest.raises(SealBroken):
            ring.decrypt(subject, "a.b:1", bytes(changed))
    for length in (*range(20), len(blob) - 1):
        with pytest.raises(SealBroken):
            ring.decrypt(subject, "a.b:1", blob[:length])
    sealed = ring.seal(subject, RATING)
    for wrong in ("", "!", sealed.ciphertext[:-4], sealed.ciphertext + "AAAA", "é"):
        with pytest.raises(SealBroken):
            ring.open(sealed.model_copy(update={"ciphertext": wrong}), Rating)


async def test_an_erased_subject_is_closed_for_good_and_gets_no_new_key(vault):
    subject, other = uuid4(), uuid4()
    ring = await vault.ring([subject, other], create=True)
    sealed, kept = ring.seal(subject, RATING), ring.seal(other, RATING)
    await vault.destroy(subject)
    again = await vault.ring([subject, other], create=True)
    assert subject not in again
    with pytest.raises(SubjectErased):
        again.open(sealed, Rating)
    with pytest.raises(SubjectErased):
        again.seal(subject, RATING)
    assert again.open(kept, Rating) == RATING
    query = "SELECT wrapped, kek FROM data_key WHERE subject_id = :id"
    assert await vault.store.database.fetch(query, {"id": subject}) == [(None, None)]


async def test_a_subject_that_is_erased_before_it_had_a_key_never_gets_one(vault):
    subject = uuid4()
    await vault.destroy(subject)
    assert subject not in await vault.ring([subject], create=True)


async def test_a_cached_key_lives_five_minutes_and_another_instance_s_erasure_is_then_seen(vault, monkeypatch):
    subject = uuid4()
    other = Vault(vault.store, vault._keyset)
    await vault.ring([subject], create=True)
    await other.destroy(subject)
    assert subject in await vault.ring([subject])
    later = time.monotonic() + 301
    monkeypatch.setattr(vaults.time, "monotonic", lambda: later)
    assert subject not in await vault.ring([subject])


async def test_an_instance_drops_a_cached_key_moments_after_another_erased_it(vault):
    subject, other = uuid4(), uuid4()
    theirs = Vault(vault.store, vault._keyset)
    await vault.ring([subject, other], create=True)
    async with running(vault.forget_erased):
        assert subject in await vault.ring([subject])
        await theirs.destroy(subject)

        async def dropped() -> bool:
            return subject not in await vault.ring([subject])

        await eventually(dropped)
        found = vault._cache[other]
        vault._cache[subject] = found  # as if it had just been fetched when it was destroyed
        await eventually(dropped)
        assert other in await vault.ring([other])


async def test_a_key_store_that_is_away_ends_no_forgetting(vault, tmp_path):
    subject = uuid4()
    there = vault.store
    nothing = local_table(Database(f"postgresql+asyncpg://nobody@127.0.0.1:{free_ports(1)[0]}/nothing"), tmp_path)
    await vault.ring([subject], create=True)
    vault.store = nothing
    async with running(vault.forget_erased):
        await asyncio.sleep(0.2)
        await Vault(there, vault._keyset).destroy(subject)
        vault.store = there

        async def dropped() -> bool:
            return subject not in await vault.ring([subject])

        await eventually(dropped)
    await nothing.close()


async def test_who_is_erased_is_told_by_the_key_store_and_nobody_cannot_be(vault):
    gone, stays, never = uuid4(), uuid4(), uuid4()
    await vault.ring([gone, stays, NOBODY], create=True)
    for _ in range(2):
        await vault.destroy(gone)
    await vault.destroy(never)
    assert await vault.erased([gone, stays, never, uuid4(), NOBODY]) == {gone, never}
    with pytest.raises(ValueError, match="nobody"):
        await vault.destroy(NOBODY)
    query = "SELECT destroyed_at FROM data_key WHERE subject_id = :id"
    first = await vault.store.database.fetch(query, {"id": gone})
    await vault.destroy(gone)
    assert await vault.store.database.fetch(query, {"id": gone}) == first


async def test_many_who_make_the_key_of_one_subject_get_the_same(vault):
    subject = uuid4()
    instances = [Vault(vault.store, vault._keyset) for _ in range(6)]
    rings = [await one.ring([subject], create=True) for one in instances]
    sealed = rings[0].seal(subject, RATING)
    assert all(ring.open(sealed, Rating) == RATING for ring in rings)


async def test_wrapped_keys_of_two_subjects_cannot_be_exchanged(vault):
    one, two = uuid4(), uuid4()
    await vault.ring([one, two], create=True)
    async with vault.store.database.transaction() as session:
        await session.execute(
            text("UPDATE data_key a SET wrapped = b.wrapped FROM data_key b WHERE a.subject_id <> b.subject_id")
        )
    with pytest.raises(SealBroken):
        await Vault(vault.store, vault._keyset).ring([one])


def test_a_keyset_is_readable_by_its_owner_alone_and_never_replaced(tmp_path):
    path = tmp_path / "keyset.json"
    threads = [threading.Thread(target=new_keyset, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = path.read_bytes()
    new_keyset(path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["keyset.json"]
    Keyset(path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"index": "1"}', "\x00", '{"index":"MQ==","pairwise":"!"}', '{"suite": "none"}']
)
def test_what_is_no_keyset_is_one_error_that_shows_nothing_of_it(tmp_path, content):
    (tmp_path / "keyset.json").write_text(content)
    with pytest.raises(ValueError, match=r"no keyset at keyset\.json"):
        Keyset(tmp_path / "keyset.json")
    with pytest.raises(ValueError, match="no keyset"):
        Keyset(tmp_path / "elsewhere.json")


@pytest.fixture
def keyed(tmp_path) -> Vault:
    new_keyset(tmp_path / "keyset.json")
    return Vault(None, Keyset(tmp_path / "keyset.json"))


def test_blind_indexes_and_pseudonyms_differ_by_purpose_and_key(keyed, tmp_path):
    new_keyset(tmp_path / "other.json")
    other = Vault(None, Keyset(tmp_path / "other.json"))
    identifier = uuid4()
    assert keyed.blind_index("phone", "169") == keyed.blind_index("phone", "169")
    assert (
        len({keyed.blind_index("phone", "169"), keyed.blind_index("id", "169"), other.blind_index("phone", "169")}) == 3
    )
    made = {
        keyed.pairwise("fire", identifier),
        keyed.pairwise("health", identifier),
        other.pairwise("fire", identifier),
    }
    assert len(made) == 3
    assert {one.version for one in made} == {8}
    assert keyed.digest(b"body") != keyed.digest(b"body ")


def test_what_is_concealed_looks_different_each_time_and_is_revealed_by_its_field_and_keyset_alone(keyed, tmp_path):
    one = uuid4()
    blobs = {keyed.conceal("holder", one) for _ in range(2)}
    assert len(blobs) == 2
    assert {keyed.reveal("holder", blob) for blob in blobs} == {one}
    blob = blobs.pop()
    new_keyset(tmp_path / "other.json")
    for vault, field, wrong in (
        (keyed, "owner", blob),
        (keyed, "holder", blob[:-1]),
        (keyed, "holder", b""),
        (Vault(None, Keyset(tmp_path / "other.json")), "holder", blob),
    ):
        with pytest.raises(SealBroken):
            vault.reveal(field, wrong)


def test_a_follow_code_has_80_bits_in_four_groups_that_nobody_misreads(keyed):
    codes = {one: keyed.follow_code(one) for one in (uuid4() for _ in range(300))}
    assert len(set(codes.values())) == 300
    assert {tuple(len(group) for group in code.split("-")) for code in codes.values()} == {(4, 4, 4, 4)}
    assert len({sign for code in codes.values() for sign in code} - {"-"}) == 32
    assert not {sign for code in codes.values() for sign in code} & set("ILOU")
    for one, code in codes.items():
        assert keyed.follow_code(one) == code
        assert keyed.follow_index(code) == keyed.follow_index(code.lower().replace("-", " "))


def test_a_code_of_one_thing_opens_that_however_it_is_written_and_nothing_else(keyed, tmp_path):
    one, other = uuid4(), uuid4()
    code = keyed.code_of("case", one)
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){3}", code)
    for written in (code, code.lower(), code.replace("-", " ")):
        assert keyed.opens(written, "case", one)
    new_keyset(tmp_path / "other.json")
    assert Vault(None, Keyset(tmp_path / "other.json")).code_of("case", one) != code != keyed.follow_code(one)
    for wrong in ("", code[:-1], code + "0", "码", "\udc80", keyed.follow_code(one)):
        assert not keyed.opens(wrong, "case", one)
    assert not keyed.opens(code, "case", other)
    assert not keyed.opens(code, "matter", one)


def test_field_and_value_of_an_index_cannot_be_shifted_into_one_another(keyed):
    assert keyed.blind_index("ab", "c") != keyed.blind_index("a", "bc")


@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_under_any_context_come_back(data, context):
    subject = UUID(int=1)
    ring = vaults.KeyRing({subject: (1, AESGCM(b"k" * 32))})
    assert ring.decrypt(subject, context, ring.encrypt(subject, context, data)) == data


# --- intents -----------------------------------------------------------------------------------------------------


async def entry_of(vault, action: Action, subjects, **changes):
    ring = await vault.ring(subjects, create=True)
    principal = Principal(str(uuid4()), Role.REVIEWER, "station", "7")
    return ring, intents.entry(ring, Intent(action, subjects, **changes), service="risk", principal=principal)


async def test_the_commitment_of_each_subject_can_be_computed_again_from_its_detail_alone(vault):
    subjects = [uuid4(), uuid4()]
    ring, entry = await entry_of(vault, Action.READ_FILE, subjects, case=uuid4())
    assert (len(entry.commitments), len(entry.details)) == (4, 2)
    for committed, sealed, subject in zip(entry.commitments, entry.details, subjects, strict=False):
        detail = ring.open(sealed, AuditDetail)
        assert sealed.subject_id == subject
        assert intents.commitment(detail) == committed
        assert intents.commitment(detail.model_copy(update={"outcome": "refused"})) != committed
    assert len(set(entry.commitments)) == 4  # two nonces, two fillers: nobody sees that it was one read


@pytest.mark.parametrize(("subjects", "commitments"), [(0, 0), (1, 4), (3, 4), (4, 4), (5, 8), (8, 8)])
async def test_what_fills_up_the_commitments_hides_how_many_an_entry_is_about(vault, subjects, commitments):
    _, entry = await entry_of(vault, Action.READ_FILE, [uuid4() for _ in range(subjects)])
    assert (len(entry.details), len(entry.commitments)) == (subjects, commitments)
    assert len({bytes.fromhex(one) for one in entry.commitments}) == commitments
    assert {len(one) for one in entry.commitments} <= {64}


async def test_an_entry_about_one_who_fled_and_one_about_a_household_s_gas_are_of_one_size(vault):
    """What a stranger reads of the log, and what the log's database holds of one subject."""
    fled, household = uuid4(), [uuid4() for _ in range(4)]
    _, violence = await entry_of(
        vault, Action.READ_REQUEST, [fled], purpose=Purpose.SERVICE, legal_basis=LegalBasis.VITAL_INTEREST,
        case=uuid4(), record=uuid4(), policies=("department-reads-its-own",),
    )  # fmt: skip
    _, gas = await entry_of(vault, Action.READ_FILE, household)
    public = [one.model_dump_json(include={"entry_id", "hour", "commitments"}) for one in (violence, gas)]
    assert len(public[0]) == len(public[1])
    assert {len(detail.ciphertext) for one in (violence, gas) for detail in one.details} == {1064}


async def test_entries_about_violence_and_about_a_gas_hose_look_alike(vault):
    """In the log and on their way to it: same length, nothing readable."""
    subject = uuid4()
    _, violence = await entry_of(
        vault, Action.READ_ASSESSMENT, [subject], case=uuid4(), policies=("reviewer-reads-for-triage",)
    )
    _, hose = await entry_of(vault, Action.REFUSE, [subject])
    sizes = {len(entry.model_dump_json()) for entry in (violence, hose)}
    assert len(sizes) == 1
    public = json.dumps({"id": str(violence.entry_id), "hour": violence.hour, "commitments": violence.commitments})
    for word in ("read", "assessment", "station", "risk", str(subject)):
        assert word not in public


async def test_an_erased_subject_leaves_the_others_of_an_entry_readable(vault):
    gone, stays = uuid4(), uuid4()
    _, entry = await entry_of(vault, Action.LIST_REQUESTS, [gone, stays])
    await vault.destroy(gone)
    ring = await vault.ring([gone, stays])
    with pytest.raises(SubjectErased):
        ring.open(entry.details[0], AuditDetail)
    assert ring.open(entry.details[1], AuditDetail).action == "list-requests"


async def test_an_intent_leaves_with_its_transaction_or_not_at_all(store, vault):
    subject = uuid4()
    ring = await vault.ring([subject], create=True)
    with pytest.raises(ZeroDivisionError):
        async with store.producer.transaction() as session:
            intents.record(session, ring, Intent(Action.READ_FILE, [subject]))
            raise ZeroDivisionError
    async with store.producer.transaction() as session:
        entry_id = intents.record(session, ring, Intent(Action.READ_FILE, [subject]))
    rows = await store.rows("SELECT topic, number, body FROM outbox", store.producer)
    assert [(topic, number) for topic, number, _ in rows] == [("audit.entry.risk", None)]
    assert entry_id is not None
