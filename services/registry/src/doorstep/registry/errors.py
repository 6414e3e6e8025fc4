"""What can go wrong with a file and with an erasure, in the words of the registry.

Refusal
├── FileUnknown
├── SubjectUnknown
├── ErasureUnknown
├── PlaceStays
├── ErasureAsked
└── SecondPersonMustConfirm
"""


class Refusal(Exception):
    """The registry does not show or does this."""


class FileUnknown(Refusal):
    """There is no such household file, or it is another station's."""


class SubjectUnknown(Refusal):
    """The file has no such subject."""


class ErasureUnknown(Refusal):
    """There is no such erasure, or it is another station's."""


class PlaceStays(Refusal):
    """A place is nobody's own: no resident can have it erased."""


class ErasureAsked(Refusal):
    """Somebody asked for this erasure before; it waits for a second person."""


class SecondPersonMustConfirm(Refusal):
    """Who asked for an erasure does not confirm it."""
