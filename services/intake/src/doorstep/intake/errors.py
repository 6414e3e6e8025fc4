"""What can go wrong with a record, in the words of the station.

Refusal
├── HouseholdUnknown
├── HouseholdKnown
├── SubjectTaken
├── RecordUnknown
├── OwnRecord
├── CodeUnknown
└── TooManyOwnRequests
"""


class Refusal(Exception):
    """The record was not taken, or cannot be shown."""


class HouseholdUnknown(Refusal):
    """The record continues a household's file that was never begun here."""


class HouseholdKnown(Refusal):
    """The record begins a household's file that exists already."""


class SubjectTaken(Refusal):
    """A subject of the record has the id of another person, or of another household's dwelling."""


class RecordUnknown(Refusal):
    """There is no such record, or it is another station's."""


class OwnRecord(Refusal):
    """Whoever took a record does not review it."""


class CodeUnknown(Refusal):
    """No code finds anybody like this: it never did, or whose it was is erased."""


class TooManyOwnRequests(Refusal):
    """By one code so many requests of one's own were made within a day."""
