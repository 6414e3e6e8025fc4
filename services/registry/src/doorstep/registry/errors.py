"""What can go wrong with a file, in the words of the registry."""


class FileUnknown(Exception):
    """There is no such household file, or it is another station's."""
