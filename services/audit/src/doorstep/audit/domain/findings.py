"""What can be wrong with a log in its own database, in words for those who must mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What is wrong, each with what it is wrong with."""

    ENTRY_MISSING = "entry-missing"
    ENTRY_EDITED = "entry-edited"
    ENTRY_MALFORMED = "entry-malformed"
    ENTRY_MISNAMED = "entry-misnamed"
    TILE_MISSING = "tile-missing"
    TILE_WRONG = "tile-wrong"
    TILE_SURPLUS = "tile-surplus"
    CHECKPOINT_FORGED = "checkpoint-forged"
    CHECKPOINT_CONTRADICTED = "checkpoint-contradicted"
    CHECKPOINT_BEYOND = "checkpoint-beyond"
    CHECKPOINT_MISSING = "checkpoint-missing"
    COSIGNATURE_FORGED = "cosignature-forged"
    ANCHOR_MISSING = "anchor-missing"
    ANCHOR_CONTRADICTED = "anchor-contradicted"
    ANCHOR_BEYOND = "anchor-beyond"
    PENDING_MALFORMED = "pending-malformed"
    DETAIL_ORPHANED = "detail-orphaned"
    UNREADABLE_MISSING = "unreadable-missing"
    UNREADABLE_EDITED = "unreadable-edited"
    GUARD_OFF = "guard-off"


TEXTS: dict[Fault, tuple[str, str]] = {
    Fault.ENTRY_MISSING: ("缺少日志条目 {0}", "{0} is missing"),
    Fault.ENTRY_EDITED: ("{0} 的内容已被改动，与其叶哈希不符", "{0} was edited: it does not have its leaf hash"),
    Fault.ENTRY_MALFORMED: ("{0} 不是合格的条目", "{0} is not an entry"),
    Fault.ENTRY_MISNAMED: ("{0} 登记的编号与内容不符", "{0} lies under the id of another"),
    Fault.TILE_MISSING: ("缺少 {0}", "{0} is missing"),
    Fault.TILE_WRONG: ("{0} 与其下的条目不符", "{0} is not what the entries under it make"),
    Fault.TILE_SURPLUS: ("{0} 超出日志范围", "{0} is beyond the log"),
    Fault.CHECKPOINT_FORGED: ("{0} 没有有效签名", "{0} has no valid signature of the log"),
    Fault.CHECKPOINT_CONTRADICTED: (
        "{0} 签名的树根与条目不符",
        "{0} was signed with another root than the entries have",
    ),
    Fault.CHECKPOINT_BEYOND: ("{0} 的条目数多于现存条目", "{0} covers more entries than are stored"),
    Fault.CHECKPOINT_MISSING: ("缺少 {0}，但有见证方对它的联署", "{0} is missing, and was cosigned"),
    Fault.COSIGNATURE_FORGED: ("{0} 不是该见证方所签", "{0} was not made by that witness at that time"),
    Fault.ANCHOR_MISSING: ("没有 {0}", "{0} is missing"),
    Fault.ANCHOR_CONTRADICTED: ("{0} 的树根与条目不符", "{0} has another root than the entries have"),
    Fault.ANCHOR_BEYOND: ("{0} 的条目数多于现存条目", "{0} covers more entries than are stored"),
    Fault.PENDING_MALFORMED: ("{0} 不是合格的条目", "{0} is not an entry, or lies under the id of another"),
    Fault.DETAIL_ORPHANED: ("{0} 没有对应的条目或承诺", "{0} belongs to no entry or commitment"),
    Fault.UNREADABLE_MISSING: ("{0} 所代表的原始消息已不在", "the message that {0} stands for is gone"),
    Fault.UNREADABLE_EDITED: ("{0} 所代表的原始消息已被改动", "the message that {0} stands for was edited"),
    Fault.GUARD_OFF: ("{0} 表的防改触发器已停用", "the guard of the table {0} is switched off"),
}
"""What a fault is called, in Chinese and English; {0} is the place."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, and where: `entry 17`, `entries 150-299`, `tile/0/003 (entry 800)`, `checkpoint 300`."""

    fault: Fault
    place: str

    def told(self) -> tuple[str, str]:
        """The finding in Chinese and English."""
        chinese, english = TEXTS[self.fault]
        return chinese.format(self.place), english.format(self.place)


def entries(first: int, last: int) -> str:
    """The place of one entry or of a run of them."""
    return f"entry {first}" if first == last else f"entries {first}-{last}"
