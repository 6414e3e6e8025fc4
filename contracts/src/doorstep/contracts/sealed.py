"""A value that only holders of its subject's data key can read."""

from typing import Generic, TypeVar
from uuid import UUID

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from doorstep.contracts.envelope import Contract

Content = TypeVar("Content", bound=Contract)


class Sealed(Contract, Generic[Content]):
    """`Content` as JSON, encrypted by AES-256-GCM under the data key of `subject_id`.

    `ciphertext` is base64 of a 12-byte nonce followed by the encrypted bytes and the tag. The additional data binds
    subject, context and key version, so that a value put under another subject or into another field does not open.
    """

    subject_id: UUID
    key_version: int
    context: str
    ciphertext: str

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Name the sealed content under `x-sealed-content`; its own schema is published beside the events'."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        schema["properties"]["ciphertext"]["contentEncoding"] = "base64"
        content = cls.__pydantic_generic_metadata__["args"]
        if content and isinstance(content[0], type):
            schema["x-sealed-content"] = content[0].__name__
        return schema
