"""Cards from TOML files: shipped ones by name, anyone's by path."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from hardscatter.detector.card import Card
from hardscatter.errors import SettingsError

CARDS = Path(__file__).parent / "cards"

_SUFFIX = ".toml"
_MAX_CHAIN = 5


def load_card(name_or_path: str | Path) -> Card:
    """Load a detector card.

    A card may start from another one with ``based_on``, a name or a path relative to its own file; it then holds
    only what differs. Tables are merged key by key, lists and numbers are replaced.

    Parameters
    ----------
    name_or_path
        ``"cms-phase2"`` (CMS at the HL-LHC, after Delphes with a more realistic tracker), ``"delphes-phase2"``
        (all as Delphes' CMS_PhaseII_200PU_v04), ``"atlas-like"``, or the path of a TOML file.

    Returns
    -------
    Card
        Checked and complete.

    Raises
    ------
    SettingsError
        If there is no such card, it is not TOML, a key is missing, unknown or holds an impossible value; the
        sentence names the file, the key and the remedy.
    """
    path = _find(str(name_or_path), Path())
    try:
        return TypeAdapter(Card).validate_python(_read(path, _MAX_CHAIN))
    except ValidationError as problems:
        raise SettingsError(_sentence(path, problems)) from None


def _find(name: str, beside: Path) -> Path:
    path = Path(name) if name.endswith(_SUFFIX) else CARDS / f"{name}{_SUFFIX}"
    if name.endswith(_SUFFIX) and not path.is_absolute():
        path = beside / path
    if not path.is_file():
        shipped = ", ".join(sorted(card.stem for card in CARDS.glob(f"*{_SUFFIX}")))
        raise SettingsError(f"there is no detector card '{name}': give one of {shipped}, or the path of a .toml file.")
    return path


def _read(path: Path, chain: int) -> dict[str, Any]:
    """Read a card and what it is based on, merged."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise SettingsError(f"{path} is nested too deeply to be a card: correct it.") from None
    except ValueError as problem:  # no TOML, no text, or a number of thousands of digits
        raise SettingsError(f"{path} is not a TOML file ({problem}): correct that place.") from None
    except OSError as problem:
        raise SettingsError(f"{path} cannot be read ({problem.strerror}): check its permissions.") from None
    base = content.pop("based_on", None)
    if base is None:
        return content
    if chain == 0 or not isinstance(base, str):
        raise SettingsError(f"{path}, key 'based_on': cards are based on each other in a circle; break it.")
    return _merged(_read(_find(base, path.parent), chain - 1), content)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _sentence(path: Path, problems: ValidationError) -> str:
    first = problems.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    more = f" (and {problems.error_count() - 1} more)" if problems.error_count() > 1 else ""
    kind = first["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{path}, key '{key}': a detector card has no such key{more}; remove it or correct its spelling."
    if kind == "missing":
        return f"{path}, key '{key}': missing{more}; add it, or start from a complete card with based_on."
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    return f"{path}, key '{key}': {reason}{more}, not {_short(first['input'])}; correct it."


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
