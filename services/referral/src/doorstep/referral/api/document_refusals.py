"""What a refusal about documents is answered with, for the table of all refusals."""

from doorstep.referral.domain import document_errors
from doorstep.referral.errors import Refusal

ANSWERS: dict[type[Refusal], tuple[int, str, str, str]] = {
    document_errors.DocumentUnknown: (404, "document-unknown", "没有这份文书。", "There is no such document."),
    document_errors.DocumentUnreadable: (
        422,
        "document-unreadable",
        "文书须为 PDF、PNG 或 JPEG，内容须与 Content-Type 一致。",
        "A document is PDF, PNG or JPEG, and begins as its Content-Type says.",
    ),
    document_errors.NothingToDocument: (
        409,
        "nothing-to-document",
        "状态 {state} 的请求不能附文书。",
        "No document is attached to a request that is {state}.",
    ),
    document_errors.TooManyDocuments: (
        409,
        "too-many-documents",
        "一个请求最多附 {most} 份文书，连同误附的最多 {kept} 份。",
        "A request has at most {most} documents, and {kept} with those that were attached in error.",
    ),
}
