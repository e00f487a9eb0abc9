"""Protobuf messages of protocols for which nobody keeps a Python package, out of a table of their fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Field", "message_types"]

Field = tuple[str, int, str]
"""Name, number, type: a scalar type of proto3 or a message of the table, perhaps behind "repeated "."""


def message_types(package: str, table: Mapping[str, Sequence[Field]]) -> dict[str, Any]:
    """The classes of these messages, each with `FromString` and `SerializeToString`; in a pool of their own."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # 20 ms for those who need it

    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    kinds = descriptor_pb2.FieldDescriptorProto
    for name, fields in table.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            repeated, plain = kind.startswith("repeated "), kind.removeprefix("repeated ")
            made = message.field.add(name=field, number=number)
            made.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            if plain in table:
                made.type, made.type_name = kinds.TYPE_MESSAGE, f".{package}.{plain}"
            else:
                made.type = kinds.Type.Value(f"TYPE_{plain.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in table}
