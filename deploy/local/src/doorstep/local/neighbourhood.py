"""A made-up neighbourhood: households with Chinese names, valid resident IDs, telephones and addresses, from a seed."""

import calendar
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random
from typing import Final, Literal

Sex = Literal["female", "male"]
Relation = Literal["head", "spouse", "child", "parent", "housemate"]

# A province's own row in the table of division codes: the number is well formed, and nobody was ever issued one,
# because real resident IDs carry the code of a county.
DIVISION: Final = "330000"
# 169 is not allotted to any mobile network: the form is right, and nobody answers.
PHONE_PREFIX: Final = "1690000"
COMMUNITY: Final = "清溪市幸福街道幸福里社区"

# The commonest surnames, with their share in thousandths of the population.
SURNAMES: Final = {
    "王": 72, "李": 71, "张": 67, "刘": 53, "陈": 45, "杨": 30, "黄": 22, "赵": 20, "吴": 20, "周": 19,
    "徐": 14, "孙": 14, "马": 13, "朱": 13, "胡": 12, "郭": 12, "何": 12, "林": 11, "高": 10, "罗": 10,
    "郑": 8, "梁": 8, "谢": 7, "宋": 7, "唐": 7, "许": 6, "邓": 6, "冯": 6, "韩": 6, "曹": 6,
    "曾": 5, "彭": 5, "萧": 5, "蔡": 5, "潘": 4, "田": 4, "董": 4, "袁": 4, "于": 4, "余": 4,
    "叶": 4, "蒋": 4, "杜": 4, "苏": 4, "魏": 4, "程": 4, "吕": 4, "丁": 4, "沈": 4, "欧阳": 1,
}  # fmt: skip
# What was in fashion: (for those born from this year on, women's names, men's names).
GIVEN_NAMES: Final = (
    (
        1920,
        "秀英 桂英 秀兰 玉兰 桂兰 秀珍 凤英 玉珍 淑珍 玉英 淑英 素珍 兰英 翠英 月英",
        "国强 德福 志明 永福 文华 玉山 长林 振华 福生 庆云 保国 学文 少华 明德 树林",
    ),
    (
        1960,
        "秀云 丽华 玉梅 桂芳 美玲 丽萍 秀梅 红梅 春梅 爱华 惠芳 小红 凤霞 海燕 月琴",
        "建华 建军 志强 国华 卫东 建平 国平 志刚 海涛 明辉 立新 建明 学军 文斌 永强",
    ),
    (
        1980,
        "静 丽娜 艳 敏 娟 婷婷 晓燕 雪梅 丹丹 莉 芳芳 晶晶 海霞 佳 倩",
        "伟 磊 军 勇 超 鹏 浩 杰 涛 明 强 晓东 志鹏 亮 斌",
    ),
    (
        2000,
        "欣怡 梦琪 雨婷 佳怡 思雨 子涵 诗涵 雨桐 语嫣 可馨 梓萱 一诺 依诺 欣妍 若曦",
        "浩宇 子轩 宇轩 俊杰 子豪 博文 浩然 梓豪 一鸣 天佑 俊熙 沐宸 宇航 奕辰 泽宇",
    ),
)
# Kinds of household, with their share in a hundred.
KINDS: Final = {
    "family": 30, "couple": 18, "single": 14, "older-couple": 13, "three-generations": 9, "older-alone": 8,
    "single-parent": 5, "tenants": 3,
}  # fmt: skip
AGES_OF_HEAD: Final = {
    "family": (28, 52), "couple": (23, 59), "single": (20, 59), "older-couple": (62, 86),
    "three-generations": (32, 48), "older-alone": (66, 92), "single-parent": (27, 50), "tenants": (20, 35),
}  # fmt: skip


@dataclass(frozen=True)
class Resident:
    """One made-up person; `phone` is None for children."""

    name: str
    sex: Sex
    born: date
    resident_id: str
    phone: str | None
    relation: Relation


@dataclass(frozen=True)
class Household:
    """Who lives together behind one door; the first resident speaks for the record."""

    kind: str
    address: str
    residents: tuple[Resident, ...]


def make_neighbourhood(seed: int, *, households: int = 200, today: date) -> list[Household]:
    """Make up the same households from the same seed and day: no two share an address, a resident ID or a telephone."""
    town = Town(Random(seed), today)  # noqa: S311 - a neighbourhood is drawn, nothing is kept secret by it
    doors = list(addresses())
    if households > len(doors):
        raise ValueError(f"the neighbourhood has {len(doors)} doors, not {households}")
    return [town.household(door) for door in sorted(town.rng.sample(doors, households), key=doors.index)]


def addresses() -> list[str]:
    """Every door of the neighbourhood: eight buildings of three units, six floors, two flats a floor."""
    return [
        f"{COMMUNITY}{building}号楼{unit}单元{floor}0{flat}室"
        for building in range(1, 9)
        for unit in range(1, 4)
        for floor in range(1, 7)
        for flat in range(1, 3)
    ]


def resident_id(born: date, order: int, *, division: str = DIVISION) -> str:
    """The 18 characters of GB 11643 for a birth date and an order number (1-999; odd for men, even for women).

    The last is the check character of ISO 7064 MOD 11-2.
    """
    body = f"{division}{born:%Y%m%d}{order:03d}"
    remainder = (12 - sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(body))) % 11
    return body + "0123456789X"[remainder]


def family_name(name: str) -> str:
    """The surname at the front of a full name, of one character or of two."""
    return name[:2] if name[:2] in SURNAMES else name[:1]


def age_on(day: date, born: date) -> int:
    """Whole years lived on that day."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


class Town:
    """Draws residents and households, and gives no resident ID or telephone twice."""

    def __init__(self, rng: Random, today: date) -> None:
        self.rng = rng
        self.today = today
        self._phones = iter(rng.sample(range(10_000), 10_000))
        self._resident_ids: set[str] = set()

    def surname(self) -> str:
        return self.rng.choices(list(SURNAMES), weights=list(SURNAMES.values()))[0]

    def resident(self, *, age: int, sex: Sex, relation: Relation, surname: str | None = None) -> Resident:
        """A person of that age today; a child under 12 has no telephone of its own."""
        born = self._birthday(age)
        women, men = next((women, men) for since, women, men in reversed(GIVEN_NAMES) if born.year >= since)
        given = self.rng.choice((women if sex == "female" else men).split())
        phone = f"{PHONE_PREFIX}{next(self._phones):04d}" if age >= 12 else None
        return Resident(
            (surname or self.surname()) + given, sex, born, self._new_resident_id(born, sex), phone, relation
        )

    def household(self, address: str) -> Household:
        """Who lives behind that door, in about the proportions of an old quarter."""
        kind = self.rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
        return Household(kind, address, tuple(self._members(kind)))

    def _members(self, kind: str) -> Iterator[Resident]:
        youngest, oldest = AGES_OF_HEAD[kind]
        head = self._head(youngest, oldest)
        yield head
        if kind in ("couple", "older-couple", "family", "three-generations"):
            yield self._spouse(head)
        if kind in ("family", "single-parent", "three-generations"):
            yield from self._children(head)
        if kind == "three-generations":
            age = age_on(self.today, head.born)
            yield replace(self._head(age + 25, age + 34), relation="parent")
        if kind == "tenants":
            for _flatmate in range(self.rng.randint(1, 2)):
                yield replace(self._head(youngest, oldest), relation="housemate")

    def _head(self, youngest: int, oldest: int) -> Resident:
        return self.resident(age=self.rng.randint(youngest, oldest), sex=self._sex(), relation="head")

    def _sex(self) -> Sex:
        return "female" if self.rng.random() < 0.5 else "male"

    def _spouse(self, head: Resident) -> Resident:
        age = max(22, age_on(self.today, head.born) + self.rng.randint(-4, 4))
        return self.resident(age=age, sex="male" if head.sex == "female" else "female", relation="spouse")

    def _children(self, head: Resident) -> Iterator[Resident]:
        eldest = max(0, min(24, age_on(self.today, head.born) - 24))
        for _child in range(self.rng.choice((1, 1, 2))):
            age = self.rng.randint(0, eldest)
            yield self.resident(age=age, sex=self._sex(), relation="child", surname=family_name(head.name))

    def _birthday(self, age: int) -> date:
        year = self.today.year - age
        latest = self.today.replace(year=year, day=min(self.today.day, calendar.monthrange(year, self.today.month)[1]))
        return latest - timedelta(days=self.rng.randrange(365))

    def _new_resident_id(self, born: date, sex: Sex) -> str:
        while True:
            number = resident_id(born, self.rng.randrange(2 if sex == "female" else 1, 1000, 2))
            if number not in self._resident_ids:
                self._resident_ids.add(number)
                return number
