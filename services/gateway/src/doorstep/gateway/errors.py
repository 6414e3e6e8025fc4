"""What can go wrong with a journey."""


class JourneyUnknown(Exception):
    """There is no such record, it is another station's, or its first event has not arrived."""


class OwnRecord(Exception):
    """Whoever took a record does not review it."""
