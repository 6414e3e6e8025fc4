"""The documents that a department attaches to a request: what they are, and in which forms they are taken."""

from enum import StrEnum

DOCUMENT_BYTES = 5 * 1024 * 1024


class DocumentForm(StrEnum):
    """A form in which a document is taken, by its media type."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"


class DocumentKind(StrEnum):
    """What a document is. It has no other name: names of files tell more than they should."""

    APPROVAL_LETTER = "approval-letter"
    REFUSAL_LETTER = "refusal-letter"
    ASSESSMENT_REPORT = "assessment-report"
    INSPECTION_REPORT = "inspection-report"
    WORK_REPORT = "work-report"
    SETTLEMENT_AGREEMENT = "settlement-agreement"
    CERTIFICATE = "certificate"
    RECEIPT = "receipt"


DOCUMENT_NAMES: dict[DocumentKind, tuple[str, str]] = {
    DocumentKind.APPROVAL_LETTER: ("批准文书", "Letter of approval"),
    DocumentKind.REFUSAL_LETTER: ("不予批准文书", "Letter of refusal"),
    DocumentKind.ASSESSMENT_REPORT: ("评估报告", "Report of an assessment"),
    DocumentKind.INSPECTION_REPORT: ("检查记录", "Report of an inspection"),
    DocumentKind.WORK_REPORT: ("施工或维修单", "Report of work that was done"),
    DocumentKind.SETTLEMENT_AGREEMENT: ("调解协议书", "Agreement that was reached"),
    DocumentKind.CERTIFICATE: ("证明", "Certificate"),
    DocumentKind.RECEIPT: ("回执", "Receipt"),
}
