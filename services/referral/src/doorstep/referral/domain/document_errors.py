"""Refusals about documents: a branch of the tree in `errors`.

Refusal
└── DocumentRefused
    ├── DocumentUnknown       no such document is listed, or not for the caller
    ├── DocumentUnreadable    what was sent is in no form that is taken, or not in the one that was named
    ├── NothingToDocument     nothing is attached to a request in this state
    └── TooManyDocuments      the request has as many as it may have
"""

from doorstep.referral.errors import Refusal


class DocumentRefused(Refusal):
    """A document is not attached, or not shown, like this."""


class DocumentUnknown(DocumentRefused):
    """The request lists no such document for this caller."""


class DocumentUnreadable(DocumentRefused):
    """What was sent does not begin as a document does whose form was named."""


class NothingToDocument(DocumentRefused):
    """Documents are attached to what was accepted or answered."""


class TooManyDocuments(DocumentRefused):
    """The request has as many documents as it may have."""
