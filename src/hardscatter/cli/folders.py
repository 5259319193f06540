"""Outputs that are folders of parts, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hardscatter.errors import SettingsError

if TYPE_CHECKING:
    from hardscatter.jobs import Cluster
    from hardscatter.production import Produced


def is_folder(output: Path, cluster: Cluster | None) -> bool:
    """Tell whether an output is a folder of parts; only such a one can be made by a cluster."""
    if not output.suffix or output.is_dir():
        return True
    if cluster is not None:
        raise SettingsError(f"{output} is one file, and workers write parts: give the name of a folder.")
    return False


def refuse_in_a_folder(output: Path, **given: bool) -> None:
    """Raise a sentence if an option is given that is for a single file."""
    for option in (name for name, there in given.items() if there):
        raise SettingsError(f"{output} is a folder, which goes on with what it holds: --{option} is for a single file.")


def say_produced(produced: Produced) -> None:
    """Say what a production holds, and which inputs it set aside."""
    from hardscatter.report.terminal import say

    for sentence in produced.bad:
        say(f"set aside: {sentence}")
    say(f"{produced.folder}: {produced.events} events in {produced.parts} parts, {produced.made} of them new")
