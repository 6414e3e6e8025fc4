"""What a department's consumer must do with its feed: the checks, each a few messages and what is to come of them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from joserfc.jwk import OKPKey

from doorstep.kit.delivery import new_private_key
from doorstep.local.on_trial import Effect, Kind
from doorstep.local.trial import Feed, Message


class Failing(Exception):
    """The consumer did not do what it must; says what was to come and what came."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(english)
        self.chinese = chinese
        self.english = english


class NotChecked(Exception):
    """The check needs a consumer that we start ourselves."""


class Trial(Protocol):
    """A consumer with its feed."""

    @property
    def feed(self) -> Feed:
        """The feed that it takes."""
        ...

    async def told(self, fence: Message) -> list[Effect]:
        """What it told since the last time, once it told of `fence`. Raises Failing where it does not."""
        ...

    def add_key(self) -> OKPKey:
        """Give it a further private key."""
        ...

    async def kill(self) -> None:
        """End it as a crash would. Raises NotChecked."""
        ...

    async def start(self) -> None:
        """Start it again."""
        ...


@dataclass(frozen=True)
class Check:
    """One thing that a consumer must do; `zh` and `en` name it, `do_zh` and `do_en` say what to do where it fails."""

    code: str
    run: Callable[[Trial], Awaitable[None]]
    zh: str
    en: str
    do_zh: str
    do_en: str


Told = tuple[Kind, str]


async def _exchange(trial: Trial, messages: Sequence[Message]) -> list[Effect]:
    """What comes of `messages`, which are followed by an ordinary request: when that was taken, all were."""
    fence = trial.feed.offered()
    await trial.feed.send(*messages, fence)
    effects = await trial.told(fence)
    return [one for one in effects if one.id != fence.id]


def _expect(effects: Sequence[Effect], wanted: Sequence[tuple[Kind, Message]]) -> None:
    """Raise Failing unless exactly `wanted` came, in this order for each request."""
    refs: dict[str, UUID] = {message.id: message.ref for _, message in wanted}
    by_request: dict[UUID, list[Told]] = {}
    for kind, message in wanted:
        by_request.setdefault(message.ref, []).append((kind, message.id))
    came: dict[UUID, list[Told]] = {ref: [] for ref in by_request}
    for one in effects:
        if one.id not in refs:
            raise Failing(f"多出一条 {one.kind}", f"one {one.kind} too many")
        came[refs[one.id]].append((one.kind, one.id))
    for ref, expected in by_request.items():
        if came[ref] != expected:
            raise Failing(f"应为 {_words(expected)}，实为 {_words(came[ref])}", _english(expected, came[ref]))


def _english(expected: list[Told], came: list[Told]) -> str:
    order = ", in another order" if sorted(expected) == sorted(came) else ""
    return f"expected {_words(expected)}, got {_words(came)}{order}"


def _words(told: Sequence[Told]) -> str:
    return " + ".join(kind.value for kind, _ in told) or "—"


async def _offer(trial: Trial) -> None:
    message = trial.feed.offered()
    effects = await _exchange(trial, [message])
    _expect(effects, [(Kind.OFFERED, message)])
    if (effects[0].ref, effects[0].need_type) != (str(message.ref), message.need_type):
        raise Failing("ref 或 need_type 与所发不符", "ref or need_type is not what was sent")


async def _duplicate(trial: Trial) -> None:
    message = trial.feed.offered()
    _expect(await _exchange(trial, [message, message, message]), [(Kind.OFFERED, message)])


async def _order(trial: Trial) -> None:
    """The third message of a request comes before its second, as after a fault of the line."""
    first = trial.feed.offered()
    second, third = trial.feed.offered(2, ref=first.ref), trial.feed.withdrawn(first, 3)
    effects = await _exchange(trial, [first, third, second])
    _expect(effects, [(Kind.OFFERED, first), (Kind.OFFERED, second), (Kind.WITHDRAWN, third)])


async def _rotation(trial: Trial) -> None:
    """For a while messages for the old key and for the new one come side by side."""
    old, new = trial.feed.key, trial.add_key()
    messages = [trial.feed.offered(key=key) for key in (new, old, new)]
    trial.feed.key = new
    _expect(await _exchange(trial, messages), [(Kind.OFFERED, one) for one in messages])


async def _withdrawal(trial: Trial) -> None:
    offered = trial.feed.offered()
    withdrawn = trial.feed.withdrawn(offered, 2)
    effects = await _exchange(trial, [offered, withdrawn])
    _expect(effects, [(Kind.OFFERED, offered), (Kind.WITHDRAWN, withdrawn)])


async def _replay(trial: Trial) -> None:
    offered = trial.feed.offered()
    withdrawn = trial.feed.withdrawn(offered, 2)
    await _exchange(trial, [offered, withdrawn])
    effects = await _exchange(trial, trial.feed.replayed())
    again = [one for one in effects if one.kind is not Kind.SET_ASIDE]
    if again:
        raise Failing(f"重放后又处理了 {len(again)} 条", f"{len(again)} effects came again")


async def _unknown_field(trial: Trial) -> None:
    message = trial.feed.with_unknown_fields()
    _expect(await _exchange(trial, [message]), [(Kind.OFFERED, message)])


async def _unknown_type(trial: Trial) -> None:
    offered = trial.feed.offered()
    strange, withdrawn = trial.feed.of_unknown_type(offered, 2), trial.feed.withdrawn(offered, 3)
    effects = await _exchange(trial, [offered, strange, withdrawn])
    known = [one for one in effects if (one.id, one.kind) != (strange.id, Kind.SET_ASIDE)]
    _expect(known, [(Kind.OFFERED, offered), (Kind.WITHDRAWN, withdrawn)])


async def _foreign_key(trial: Trial) -> None:
    """One message for a key that we never had, one that only claims to be for ours."""
    strangers = [new_private_key("somebody-else"), new_private_key(str(trial.feed.key.kid))]
    messages = [trial.feed.offered(key=key) for key in strangers]
    _expect(await _exchange(trial, messages), [(Kind.SET_ASIDE, one) for one in messages])


async def _restart(trial: Trial) -> None:
    before = trial.feed.offered()
    _expect(await _exchange(trial, [before]), [(Kind.OFFERED, before)])
    await trial.kill()
    meanwhile = trial.feed.offered()
    await trial.feed.send(meanwhile)
    await trial.start()
    effects = [one for one in await _exchange(trial, []) if one.kind is not Kind.SET_ASIDE]
    _expect(effects, [(Kind.OFFERED, meanwhile)])


CHECKS = (
    Check("offer", _offer, "收到并解密请求", "A request is taken and decrypted",
          "用 JWE 头中 kid 指明的私钥解密（ECDH-ES+A256KW、A256GCM、X25519）；每条结果写一行 JSON。",
          "Decrypt with the private key that the JWE's kid names (ECDH-ES+A256KW, A256GCM, X25519); tell one line of "
          "JSON for each effect."),
    Check("duplicate", _duplicate, "重复投递只处理一次", "A duplicate changes nothing",
          "按消息键记住最后的 ce_number，与处理结果同一事务；不大于它的编号一律忽略。",
          "Remember each key's last ce_number in the transaction of the effect; ignore a number at or below it."),
    Check("order", _order, "同一键按编号顺序处理", "Each key in the order of its numbers",
          "编号不连续时，先等缺的那一条，再处理后面的。",
          "Where a number is missing, wait for it before acting on what follows."),
    Check("rotation", _rotation, "换钥期间新旧密钥并用", "Old and new key side by side",
          "换钥后保留旧私钥，按 kid 选择；遇到不认识的 kid 重新读取密钥。",
          "Keep the old private key, choose by kid, and read the keys again at a kid that is not known."),
    Check("withdrawal", _withdrawal, "撤回后删除", "A withdrawn request is deleted",
          "收到 feed.request-withdrawn.v1 即删除所存的请求。",
          "At feed.request-withdrawn.v1 delete what you hold of the request."),
    Check("unknown-field", _unknown_field, "忽略不认识的字段", "An unknown field is ignored",
          "解析时不要拒绝多出的字段和头：事件只增不改。",
          "Do not refuse further fields and headers: events grow by additions."),
    Check("unknown-type", _unknown_type, "忽略不认识的事件类型", "An unknown event type is passed over",
          "不认识的 ce_type 不处理，但要记下它的编号，否则后面的消息会一直等。",
          "Do nothing about an unknown ce_type, but count its number, or what follows waits for ever."),
    Check("foreign-key", _foreign_key, "无法解密的消息另存并继续", "What cannot be decrypted is set aside",
          "另存给人查看，报告 set-aside，继续处理后面的消息。",
          "Keep it for a person to look at, tell set-aside, and go on with what follows."),
    Check("replay", _replay, "整段重放不重复处理", "A replay of everything changes nothing",
          "ce_epoch 变大表示全部重发：编号和 id 不变，照样按编号去重。",
          "A higher ce_epoch means that everything comes again under the same ids and numbers: drop what is known."),
    Check("restart", _restart, "中断后不丢不重", "A crash loses and repeats nothing",
          "把编号和结果存盘，重启后从头读，按编号去重。",
          "Keep numbers and effects on disk, read from the beginning after a start, and drop what is known."),
)  # fmt: skip
