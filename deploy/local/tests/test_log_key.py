"""The keys of the log in a data folder: made once, for their owner alone, those of SM2 under the suite `national`."""

import os
from pathlib import Path

import aiohttp
import pytest

from doorstep.audit.domain.keys import LogKeys
from doorstep.audit.domain.sm2 import SM2SigningKey, require_sm2
from doorstep.kit.keyset import Keyset, Suite
from doorstep.kit.testing import eventually
from doorstep.local.environment import LOG_ORIGIN as ORIGIN
from doorstep.local.folder import DataFolder
from doorstep.local.log_key import new_log_key, new_sm2_key
from doorstep.local.stack import StackOptions, _make_keys, running_stack


def test_keys_are_made_once_for_their_owner_alone(tmp_path: Path) -> None:
    for name, new in (("log.key", new_log_key), ("log-sm2.key", new_sm2_key)):
        file = tmp_path / name
        new(file, ORIGIN)
        made = file.read_text()
        new(file, ORIGIN)
        assert (file.read_text(), file.stat().st_mode & 0o777) == (made, 0o600)
    assert LogKeys.parse((tmp_path / "log.key").read_text()).name == ORIGIN
    assert SM2SigningKey.parse((tmp_path / "log-sm2.key").read_text()).name == ORIGIN
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log-sm2.key", "log.key"]


def test_who_dies_while_a_key_is_written_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(handle: int) -> None:
        raise KeyboardInterrupt

    for name, new in (("log.key", new_log_key), ("log-sm2.key", new_sm2_key)):
        with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
            dying.setattr(os, "fsync", die)
            new(tmp_path / name, ORIGIN)
        assert not (tmp_path / name).exists()
        new(tmp_path / name, ORIGIN)
        assert (tmp_path / name).read_text().startswith("PRIVATE+KEY+")


@pytest.mark.parametrize(
    ("asked", "then", "suite"),
    [
        (None, None, Suite.INTERNATIONAL),
        (Suite.INTERNATIONAL, None, Suite.INTERNATIONAL),
        (Suite.NATIONAL, None, Suite.NATIONAL),
        (None, Suite.NATIONAL, Suite.NATIONAL),
    ],
)
def test_a_folder_keeps_its_suite_and_has_the_keys_of_it(
    tmp_path: Path, asked: Suite | None, then: Suite | None, suite: Suite
) -> None:
    with DataFolder(tmp_path / "data") as folder:
        first = asked or Suite.INTERNATIONAL
        assert _make_keys(folder, asked) is first
        made = {path.name: path.read_bytes() for path in folder.keys.iterdir()}
        assert _make_keys(folder, then) is suite
        kept = {path.name: path.read_bytes() for path in folder.keys.iterdir()}
        assert made.items() <= kept.items()
        national = {"log-sm2.key"} if suite is Suite.NATIONAL else set()
        assert kept.keys() == {"keyset.json", "log.key"} | national
        assert Keyset(folder.keys / "keyset.json").suite is first


async def test_the_log_of_a_national_stack_is_signed_with_both_keys(tmp_path: Path) -> None:
    options = StackOptions(data=tmp_path, services=("audit",), durable=False, suite=Suite.NATIONAL, port=0)
    async with running_stack(options) as stack, aiohttp.ClientSession() as client:

        async def told(path: str) -> bytes | None:
            async with client.get(f"{stack.service_url('audit')}/api/log/{path}") as answer:
                return await answer.read() if answer.status == 200 else None

        async def signed() -> bool:
            return await told("checkpoint") is not None

        await eventually(signed, within=60)
        key = SM2SigningKey.parse((stack.folder.keys / "log-sm2.key").read_text()).verifier
        require_sm2(await told("checkpoint"), key)
        keys = LogKeys.parse(stack.log_key.read_text())
        assert (await told("vkeys")).decode() == f"{keys.verifiers[0]}\n{key}\n"
