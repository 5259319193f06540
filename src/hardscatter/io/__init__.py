"""Files: one reader or writer a format, one call for all of them."""

from __future__ import annotations

from hardscatter.io.conversion import convert
from hardscatter.io.formats import count, file_format, iterate, read
from hardscatter.io.inspection import Inspection, inspect
from hardscatter.io.writing import Writer, write

__all__ = ["Inspection", "Writer", "convert", "count", "file_format", "inspect", "iterate", "read", "write"]
