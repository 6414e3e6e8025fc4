"""Where key-encryption keys lie, where there is more than one place: a file and a Vault, between which they move.

A name tells its place, so that a row of the database does. New keys are made where the newest is, unless another
place is asked for; a place under whose keys nothing is wrapped any more is empty, and may be taken away.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from doorstep.keystore.errors import NoSuchPlace
from doorstep.keystore.keks import Bound, Keks


class Place(StrEnum):
    """Where a key-encryption key lies."""

    FILE = "file"
    VAULT = "vault"


def place_of(name: str) -> Place:
    """Where the key with this name lies: in a Vault names are `v` and a number, in a file hexadecimal digits."""
    return Place.VAULT if name.startswith("v") else Place.FILE


class PlacedKeks:
    """See `Keks`: those of all places together."""

    def __init__(self, places: Mapping[Place, Keks], first: Place) -> None:
        """Use the keys in `places`; the very first is made in `first`."""
        self._places = dict(places)
        self._first = first

    async def bind(self, store: str) -> None:
        """Serve the key store with this id alone, everywhere. Raises KeksElsewhere."""
        for keks in self._places.values():
            await keks.bind(store)

    async def names(self) -> set[str]:
        """The names of those that there are, in all places: none is worked with while one does not answer."""
        return {name for keks in self._places.values() for name in await keks.names()}

    async def make(self, known: Collection[str], place: Place | None = None) -> str:
        """Make one more in `place`, or where the newest lies, the first of `known`. Raises NoSuchPlace."""
        there = place or next((place_of(name) for name in known), self._first)
        return await self._at(there).make([name for name in known if place_of(name) is there])

    async def keep_only(self, known: Collection[str]) -> None:
        """Destroy all others than `known`, for good, in all places."""
        for place, keks in self._places.items():
            await keks.keep_only([name for name in known if place_of(name) is place])

    async def wrap(self, name: str, keys: Sequence[Bound]) -> list[bytes]:
        """Data keys wrapped where the key lies. Raises KekMissing or NoSuchPlace."""
        return await self._at(place_of(name)).wrap(name, keys)

    async def unwrap(self, name: str, wrapped: Sequence[Bound]) -> list[bytes]:
        """What `wrap` was given. Raises KekMissing, SealBroken or NoSuchPlace."""
        return await self._at(place_of(name)).unwrap(name, wrapped)

    async def close(self) -> None:
        """Let go of connections."""
        for keks in self._places.values():
            await keks.close()

    def _at(self, place: Place) -> Keks:
        try:
            return self._places[place]
        except KeyError:
            raise NoSuchPlace(place) from None
