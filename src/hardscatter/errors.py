"""Errors that a user can act on: one sentence saying what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST = 2000
_MOST = 3  # names in a remark


class HardscatterError(Exception):
    """Base of every error that hardscatter raises on purpose; the command line prints it as one line.

    Names in a file may hold line ends or codes that a terminal obeys, and be of any length: they are made harmless.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(_one_line(one) if isinstance(one, str) else one for one in arguments))


class InvalidEventsError(HardscatterError, ValueError):
    """Events that break the event model (a NaN momentum, misaligned lengths, a weight outside [0, 1])."""


class MissingFieldError(HardscatterError, AttributeError):
    """A field that these events do not carry, with the way to supply it."""


class UnreadableFileError(HardscatterError, ValueError):
    """A file that cannot be read: not found, truncated, of a format or content nobody expected."""


class UnwritableFileError(HardscatterError, OSError):
    """A file that cannot be written: unknown suffix, already there, no space or no permission."""


class UnknownMethodError(HardscatterError, KeyError):
    """A mitigation method nobody registered, with the list of those that are."""

    def __str__(self) -> str:  # KeyError would print the repr, quotes and all
        return str(self.args[0])


class UnknownProcessError(HardscatterError, KeyError):
    """A collision process nobody defined, with the list of those that are."""

    def __str__(self) -> str:
        return str(self.args[0])


class SettingsError(HardscatterError, ValueError):
    """Settings that contradict each other or the data."""


class MissingExtraError(HardscatterError, ImportError):
    """An optional part of hardscatter that is not installed, with the way to install it."""


class ClusterError(HardscatterError, RuntimeError):
    """A cluster that cannot be had, or was lost in the middle of the work."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a remark on the known names nearest to an unknown one, `` (did you mean a, b or c?)``, or nothing.

    Near is what begins with the word, or is written much like it; capital letters do not count.
    """
    from difflib import get_close_matches  # only who errs waits for it

    names = list(known)
    small = {name.lower(): name for name in names}
    begins = [name for name in names if len(word) > 1 and name.lower().startswith(word.lower())]
    alike = [small[name] for name in get_close_matches(word.lower(), small, n=_MOST)]
    near = list(dict.fromkeys([*begins, *alike]))[:_MOST]
    if not near:
        return ""
    *others, last = near
    return f" (did you mean {' or '.join([', '.join(others), last] if others else [last])}?)"


def _one_line(text: str) -> str:
    """Return a text of printable characters, the middle left out if it is very long."""
    line = text if text.isprintable() else "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 + 3 :]}"
