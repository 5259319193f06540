"""Files: one reader or writer a format, one call for all of them."""

from __future__ import annotations

from hardscatter.io.conversion import convert
from hardscatter.io.formats import count, file_format, iterate, read, read_without_pileup
from hardscatter.io.inspection import Inspection, inspect
from hardscatter.io.jetclass import JetClassWriter
from hardscatter.io.own_file import write_back
from hardscatter.io.pfnano import from_pfcands
from hardscatter.io.vectors import vectors
from hardscatter.io.writing import Writer, write

__all__ = [
    "Inspection",
    "JetClassWriter",
    "Writer",
    "convert",
    "count",
    "file_format",
    "from_pfcands",
    "inspect",
    "iterate",
    "read",
    "read_without_pileup",
    "vectors",
    "write",
    "write_back",
]
