"""What the encrypted columns of triage hold, and how each is bound to its table, column and row."""

from uuid import UUID

from doorstep.contracts.envelope import Contract
from doorstep.contracts.intake import Card
from doorstep.kit.vault import KeyRing
from doorstep.risk.domain.assessment import Finding, NotEvaluated


class NeedContent(Contract):
    """`need.content`: what was found on the subject, and how the subject is named and reached."""

    finding: Finding
    card: Card

    def encrypt(self, ring: KeyRing, subject_id: UUID, need_id: UUID) -> bytes:
        """The content for the row `need_id`. Raises SubjectErased."""
        return ring.encrypt(subject_id, f"need.content:{need_id}", _json(self))

    @classmethod
    def decrypt(cls, ring: KeyRing, subject_id: UUID, need_id: UUID, blob: bytes) -> "NeedContent":
        """The content of the row `need_id`. Raises SubjectErased or SealBroken."""
        return cls.model_validate_json(ring.decrypt(subject_id, f"need.content:{need_id}", blob))


class Gaps(Contract):
    """`assessed_subject.not_evaluated`: the rules that could not tell."""

    rules: tuple[NotEvaluated, ...]

    def encrypt(self, ring: KeyRing, subject_id: UUID, assessment_id: UUID) -> bytes:
        """The gaps for the row of `subject_id` in `assessment_id`. Raises SubjectErased."""
        return ring.encrypt(subject_id, f"assessed_subject.not_evaluated:{assessment_id}", _json(self))

    @classmethod
    def decrypt(cls, ring: KeyRing, subject_id: UUID, assessment_id: UUID, blob: bytes) -> "Gaps":
        """The gaps of that row. Raises SubjectErased or SealBroken."""
        context = f"assessed_subject.not_evaluated:{assessment_id}"
        return cls.model_validate_json(ring.decrypt(subject_id, context, blob))


def encrypt_reason(ring: KeyRing, subject_id: UUID, need_id: UUID, reason: str) -> bytes:
    """`decision.reason` for the row `need_id`. Raises SubjectErased."""
    return ring.encrypt(subject_id, f"decision.reason:{need_id}", reason.encode())


def decrypt_reason(ring: KeyRing, subject_id: UUID, need_id: UUID, blob: bytes) -> str:
    """`decision.reason` of the row `need_id`. Raises SubjectErased or SealBroken."""
    return ring.decrypt(subject_id, f"decision.reason:{need_id}", blob).decode()


def _json(content: Contract) -> bytes:
    return content.model_dump_json(exclude_none=True).encode()
