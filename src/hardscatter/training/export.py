"""From a checkpoint to a model that `hardscatter mitigate` runs, with its card beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hardscatter import __version__
from hardscatter.detector import load_card
from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.nets.export import export_onnx
from hardscatter.training.configuration import Training
from hardscatter.training.objectives import DISTILLED, SUPERVISED, name_of, resolved
from hardscatter.training.run import load


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    overwrite: bool = False,
    say: Callable[[str], object] = print,
) -> Path:
    """Write the network of a checkpoint as ONNX after checking that ONNX Runtime gives the same weights.

    The model's metadata hold all that made it: the resolved configuration, crossings seen, the schema of its features
    and the detector cards with their hashes, the versions. A model card of the same name (``.md``) says it to people.

    Parameters
    ----------
    checkpoint
        A checkpoint, or the folder of a run: its best.
    output
        Where to write, ``.onnx``.
    overwrite
        Replace a model that is there.
    say
        Where the lines about the check go.

    Returns
    -------
    Path
        The model card.

    Raises
    ------
    UnreadableFileError
        If the checkpoint is none of ours.
    SettingsError
        If the check fails or the name does not end in ``.onnx``; nothing is written.
    UnwritableFileError
        If the output exists, or cannot be written.
    """
    output = Path(output)
    if output.suffix != ".onnx":
        raise SettingsError(f"{output}: a model's name ends in .onnx.")
    card = output.with_suffix(".md")
    for path in (output, card):
        if path.exists() and not overwrite:
            raise UnwritableFileError(f"{path} exists: take another name or --overwrite.")
    training, module, seen = load(checkpoint)
    training = replace(training, objective=resolved(training.objective))
    cards = {name: load_card(name).hash() for name in training.data.cards}
    about = {
        "name": training.name,
        "version": __version__,
        "training": json.dumps(training.to_dict(), sort_keys=True),
        "seen": json.dumps(seen),
        "cards": json.dumps(cards),
    }
    aside = {path: path.with_name(f"{path.name}.partial") for path in (output, card)}
    try:
        largest = export_onnx(module.network, aside[output], training.schema, metadata=about, say=say)
        aside[card].write_text(
            model_card(training, seen, cards, largest, aside[output].stat().st_size), encoding="utf-8"
        )
        for path, written in aside.items():
            written.replace(path)
    except OSError as problem:
        raise UnwritableFileError(f"{output} cannot be written ({problem.strerror}).") from problem
    finally:
        for written in aside.values():
            written.unlink(missing_ok=True)
    return card


def model_card(training: Training, seen: dict[str, Any], cards: dict[str, str], largest: float, size: int) -> str:
    """Return what a user of a model should know, all of it from what made the model."""
    settings = training.to_dict()
    length = settings["length"]
    labelled = any(term.loss in SUPERVISED and term.factor > 0 for term in training.objective)
    what = "The error of a weight" if any(term.loss in DISTILLED for term in training.objective) else "A weight"
    objective = " + ".join(f"{term.factor:g} × `{name_of(term)}`" for term in training.objective)
    lines = [
        f"# Model card: {training.name}",
        "",
        f"{what} for every particle-flow candidate, trained {'with' if labelled else 'without'} per-particle labels.",
        "",
        "| | |",
        "|---|---|",
        f"| objective | {objective} |",
        f"| training sample | {training.data.words} |",
        f"| detector cards | {', '.join(f'{Path(name).name} ({code})' for name, code in cards.items()) or 'none'} |",
        f"| seen | {seen['crossings']} crossings in {seen['round']} rounds of at most {length['rounds']} |",
        f"| precision | {seen['precision']} |",
        f"| features | {len(training.schema)} columns, schema {training.schema.hash()} |",
        f"| seed of the network | {training.seed} |",
        f"| size | {size / 1e6:.2f} MB |",
        f"| ONNX Runtime against torch | largest difference {largest:.2g} |",
        f"| hardscatter | {__version__} |",
        "",
        "## Known limits",
        "",
        "- Seen in training: the pileup, processes and detectors above. Elsewhere: measure first.",
        "- One training with one seed; how much another would scatter is not known.",
        "- Simulation decides what the weights mean: nothing here was trained on, or calibrated with, data.",
        f"- Fields that a file may lack were missing in {training.missing.field:.0%} of the crossings each, "
        f"all of them in {training.missing.everything:.0%}.",
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(settings, indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)
