"""What a department attaches to a request: documents known by their first bytes, in which states, and how many."""

from doorstep.contracts.codes import TaskState
from doorstep.contracts.documents import DocumentForm
from doorstep.referral.domain.states import WORKING

MOST = 10
MOST_KEPT = 20
"""So many are kept with those that were attached in error, which are listed no more."""

ANSWERED = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.REJECTED})
"""The states in which a request has an outcome, and the station sees what came with it."""
OF_WORK = WORKING | ANSWERED
"""The states in which a department attaches documents."""

SUFFIXES: dict[DocumentForm, str] = {DocumentForm.PDF: "pdf", DocumentForm.PNG: "png", DocumentForm.JPEG: "jpg"}

_BEGINNINGS: dict[DocumentForm, bytes] = {
    DocumentForm.PDF: b"%PDF-",
    DocumentForm.PNG: b"\x89PNG\r\n\x1a\n",
    DocumentForm.JPEG: b"\xff\xd8\xff",
}


def form_of(data: bytes) -> DocumentForm | None:
    """The form that the first bytes of `data` are of: ISO 32000-1 7.5.2, RFC 2083 section 3.1, ISO 10918-1 B.1.1.3.

    A PDF begins with its header: some readers find one further down, behind what another takes for its own.
    """
    return next((form for form, beginning in _BEGINNINGS.items() if data.startswith(beginning)), None)
