"""The verbs that make a folder of parts: mitigate many files, simulate many crossings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from hardscatter.detector import Card, load_card
from hardscatter.errors import SettingsError
from hardscatter.jobs import Cluster, at_work
from hardscatter.pileup.method import CPU, MODEL_SUFFIX, by_name, get_method, settings_of, with_device
from hardscatter.pileup.uncertainty import spread_model, without_errors
from hardscatter.production.inputs import files_of, identity
from hardscatter.production.run import PART, Order, Produced, produce, produce_from_files
from hardscatter.production.works import Mitigation, Simulation, forget_pool
from hardscatter.simulation import Crossings, Progress, Settings, is_hepmc, whole_number

if TYPE_CHECKING:
    from distributed import Client

FORMATS = ("parquet", "root")


def mitigate_files(
    words: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    names: str | Sequence[str],
    *,
    uncertainty: bool = False,
    device: str = CPU,
    particle_flow: str | None = None,
    part: int = PART,
    step: int = 100,
    file_format: str = "parquet",
    cluster: Cluster | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Produced:
    """Weigh the events of many files into a folder of parts; what is there of the same production is not done again.

    Parameters
    ----------
    words
        The inputs, as for `files_of`.
    folder
        Of the output: parts, each with the entries of one input, and ``manifest.jsonl``.
    names, uncertainty, device, particle_flow
        As for `hardscatter.mitigate_file`.
    part
        Events in a part, at most.
    step
        Events held in memory at once.
    file_format
        ``"parquet"`` or ``"root"``.
    cluster, skip_bad, progress
        As for `produce_from_files`.

    Raises
    ------
    HardscatterError
        If a method is unknown, before any work; and as `produce_from_files`.
    """
    chosen = by_name([names] if isinstance(names, str) else names)
    methods = {name: with_device(get_method(method), device) for name, method in chosen.items()}
    if uncertainty and not any(map(spread_model, methods.values())):
        raise SettingsError(without_errors(*methods))
    said = {
        "methods": {name: settings_of(method) | _model_file(chosen[name]) for name, method in methods.items()},
        "uncertainty": uncertainty, "particle_flow": particle_flow,
    }  # fmt: skip
    work = Mitigation(
        tuple(map(_full, chosen.values())), uncertainty, particle_flow, whole_number("step", step), device
    )
    order = Order("mitigate", said, work, _suffix(file_format), whole_number("part", part))
    paths = files_of([words] if isinstance(words, str | os.PathLike) else words)
    return produce_from_files(paths, Path(folder), order, cluster=cluster, skip_bad=skip_bad, progress=progress)


def simulate_files(
    process: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    n: int,
    *,
    paired: str | os.PathLike[str] | None = None,
    part: int = PART,
    step: int = 100,
    file_format: str = "parquet",
    cluster: Cluster | Client | None = None,
    **settings: Unpack[Settings],
) -> Produced:
    """Simulate crossings into a folder of parts; what is there of the same production is not done again.

    The crossings are those of `hardscatter.simulate`. Hard collisions that no library holds are made part by part and
    not kept; the pool of pileup is a library in the cache folder, which all workers must see, and build if need be.

    Parameters
    ----------
    process, n, **settings
        As for `hardscatter.simulate`; pileup as a number or in letters, nothing selected.
    paired
        Another folder: it gets the same hard collisions without pileup, part by part. The manifest is in `folder`.
    folder, part, step, file_format, cluster
        As for `mitigate_files`.

    Raises
    ------
    HardscatterError
        As `hardscatter.simulate`, before any work; and as `produce_from_files`.
    """
    progress = settings.pop("progress", None)
    workers = settings.pop("workers", 1)
    plain = _plain(settings)
    source = str(Path(process).resolve()) if is_hepmc(process) or str(process).endswith(".cmnd") else str(process)
    partners = None if paired is None else f"{os.path.relpath(paired, folder)}/"
    card = plain.get("card", "cms-phase2")
    card = card if isinstance(card, Card) else load_card(card)
    said = {"process": source, "card_hash": card.hash(), "paired": partners is not None, **plain}
    if isinstance(plain.get("card"), Card):
        said["card"] = card.name  # the hash tells it from others of that name
    if source != str(process):
        said["file"] = identity(Path(source))
    order = Order("simulate", said, Simulation(plain, partners, whole_number("step", step)), _suffix(file_format),
                  whole_number("part", part))  # fmt: skip
    with at_work(cluster) as client:
        more: Settings = {"workers": workers if client is None else client}
        if progress is not None:
            more["progress"] = progress
        Crossings(source, n, pairs=paired is not None, **{**plain, **more}).make_ready()
        try:
            return produce(source, whole_number("n", n), Path(folder), order, cluster=client, progress=progress)
        finally:
            forget_pool()


def _plain(settings: Settings) -> dict[str, Any]:
    """Return settings that can be sent and written down."""
    plain: dict[str, Any] = dict(settings)
    if plain.pop("select", None) is not None:
        raise SettingsError("a production in parts cannot select hard collisions: simulate one file.")
    card = plain.get("card")
    if card is not None and str(card).endswith(".toml"):
        plain["card"] = str(Path(card).resolve())
    pileup = plain.get("pileup")
    if isinstance(pileup, str) and pileup.startswith("hist:"):
        plain["pileup"] = f"hist:{Path(pileup.removeprefix('hist:')).resolve()}"
    elif pileup is not None and not isinstance(pileup, str | int | float):
        raise SettingsError(f"a production needs pileup as a number or in letters such as flat:0-200, not {pileup!r}.")
    return plain


def _full(word: str) -> str:
    """Return a method's id, or the full path of a model: workers may stand elsewhere."""
    return str(Path(word).expanduser().resolve()) if word.endswith(MODEL_SUFFIX) else word


def _model_file(word: str) -> dict[str, str]:
    return {"file": identity(Path(_full(word)))} if word.endswith(MODEL_SUFFIX) else {}


def _suffix(file_format: str) -> str:
    if file_format not in FORMATS:
        raise SettingsError(f"format '{file_format}' is not known: give one of {', '.join(FORMATS)}.")
    return f".{file_format}"
