"""The peer's tables as mapped classes; every service has those that it needs in its own database."""

import os
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import DateTime, ForeignKey, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from bench.peer.settings import PeerSettings

_NONCE = 12


class Encrypted(TypeDecorator[str]):
    """Text, encrypted by the application's key (AES-256-GCM)."""

    impl = LargeBinary
    cache_ok = True
    _cipher: AESGCM | None = None

    @classmethod
    def cipher(cls) -> AESGCM:
        """The cipher with the key of the settings."""
        if cls._cipher is None:
            cls._cipher = AESGCM(PeerSettings().key)
        return cls._cipher

    def process_bind_param(self, value: str | None, dialect: Any) -> bytes | None:
        """Encrypt."""
        if value is None:
            return None
        nonce = os.urandom(_NONCE)
        return nonce + self.cipher().encrypt(nonce, value.encode(), None)

    def process_result_value(self, value: bytes | None, dialect: Any) -> str | None:
        """Decrypt."""
        return None if value is None else self.cipher().decrypt(value[:_NONCE], value[_NONCE:], None).decode()


class Table(DeclarativeBase):
    """What all tables have in common."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012


class AuditRow(Table):
    """Who did what to whose data."""

    __tablename__ = "peer_audit"

    entry_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    at: Mapped[datetime]
    actor: Mapped[str | None]
    action: Mapped[str]
    subject_id: Mapped[UUID | None]
    purpose: Mapped[str | None]


class RecordRow(Table):
    """A record of a visit (intake)."""

    __tablename__ = "peer_record"

    record_id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID]
    station: Mapped[str]
    channel: Mapped[str]
    visited_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    recorded_by: Mapped[str]
    digest: Mapped[bytes]
    subjects: Mapped[list["SubjectRow"]] = relationship(back_populates="record", lazy="selectin")


class SubjectRow(Table):
    """A subject of a record, with what was stated of it (intake)."""

    __tablename__ = "peer_subject"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    record_id: Mapped[UUID] = mapped_column(ForeignKey("peer_record.record_id"))
    kind: Mapped[str]
    card: Mapped[str] = mapped_column(Encrypted)
    facts: Mapped[str] = mapped_column(Encrypted)
    record: Mapped[RecordRow] = relationship(back_populates="subjects")


class FileRow(Table):
    """A household's file (registry)."""

    __tablename__ = "peer_file"

    file_id: Mapped[UUID] = mapped_column(primary_key=True)
    station: Mapped[str]
    version: Mapped[int]


class PersonRow(Table):
    """A person, found by a keyed hash of their paper (registry)."""

    __tablename__ = "peer_person"

    person_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    paper: Mapped[bytes | None] = mapped_column(unique=True)


class MentionRow(Table):
    """A subject of a file (registry)."""

    __tablename__ = "peer_mention"

    subject_id: Mapped[UUID] = mapped_column(primary_key=True)
    file_id: Mapped[UUID] = mapped_column(ForeignKey("peer_file.file_id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("peer_person.person_id"))
    card: Mapped[str] = mapped_column(Encrypted)


class FactRow(Table):
    """A fact of a file (registry)."""

    __tablename__ = "peer_fact"

    fact_id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("peer_mention.subject_id"))
    content: Mapped[str] = mapped_column(Encrypted)


class NeedRow(Table):
    """A need that the rules found (risk)."""

    __tablename__ = "peer_need"

    need_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    record_id: Mapped[UUID] = mapped_column(index=True)
    subject_id: Mapped[UUID]
    need_type: Mapped[str]
    content: Mapped[str] = mapped_column(Encrypted)


class RequestRow(Table):
    """A service request with its task (referral)."""

    __tablename__ = "peer_request"

    request_id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    need_id: Mapped[UUID] = mapped_column(unique=True)
    record_id: Mapped[UUID] = mapped_column(index=True)
    file_id: Mapped[UUID]
    subject_id: Mapped[UUID]
    department: Mapped[str]
    ref: Mapped[UUID] = mapped_column(unique=True)
    state: Mapped[str]
    version: Mapped[int]
    opened_at: Mapped[datetime]
    offer: Mapped[str] = mapped_column(Encrypted)
    transitions: Mapped[list["TransitionRow"]] = relationship(
        back_populates="request", lazy="selectin", order_by="TransitionRow.version"
    )


class TransitionRow(Table):
    """A step of a request (referral)."""

    __tablename__ = "peer_transition"

    request_id: Mapped[UUID] = mapped_column(ForeignKey("peer_request.request_id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    command_id: Mapped[UUID | None] = mapped_column(unique=True)
    to_state: Mapped[str]
    at: Mapped[datetime]
    outcome: Mapped[str | None] = mapped_column(Encrypted)
    request: Mapped[RequestRow] = relationship(back_populates="transitions")


class DepartmentKeyRow(Table):
    """The public key that a department's feed is encrypted for (referral)."""

    __tablename__ = "peer_department_key"

    department: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, Any]]
