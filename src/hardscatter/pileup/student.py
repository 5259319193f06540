"""A student of `total` that fits the first level of a trigger: one candidate, the sums around it, a small network.

Of each candidate it sees its own pt, |eta|, kind and displacement along the beam, and what `hardscatter.pileup.towers`
sums around it: nothing of any single neighbour. A logarithm that hardware has for nothing brings momenta to one scale,

    x = min(scale · L(value / unit), 2),      L(v) = e + m   for 1 + v = 2^e (1 + m), 0 ≤ m < 1,

the place of the leading bit and the bits behind it (Mitchell 1962; log₂(1 + v) within 0.09). The network is
dense layers with ReLU; its last value is clipped to [0, 1].
"""

from __future__ import annotations

import dataclasses
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import onnxruntime  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import lane_kernel
from hardscatter.errors import UnreadableFileError
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.pileup.method import MODEL_SUFFIX
from hardscatter.pileup.parameters import check_contained
from hardscatter.pileup.towers import NAMES, tower_sums
from hardscatter.threads import over_crossings

MODELS = Path(__file__).parent / "models"
KIND = "student"
"""What the file of a student says it is."""
LARGEST = 2.0
"""What an input is at most: one bit in front of the point holds all that is below."""

_ROWS = 1024
"""Candidates that the network sees at once: what lies between its layers stays near the processor."""
_ONE = np.float32(1.0).view(np.int32)
_PER_DOUBLING = np.float32(2.0**-23)  # the mantissa's bits


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of the network: x = min(scale · L(value / unit), 2), or scale · value / unit without the logarithm."""

    name: str
    unit: float = 1.0
    """GeV, GeV², mm, or a number."""
    scale: float = 1.0
    logarithm: bool = False


def _momentum(name: str) -> Input:
    return Input(name, 0.25, 1 / 8, logarithm=True)


OWN = (
    _momentum("pt"),
    Input("abs_eta", 4.0),
    Input("is_photon"),
    Input("is_leading"),
    Input("is_pileup"),
    Input("has_no_vertex"),
    Input("dz", 0.01, 1 / 8, logarithm=True),
    Input("dz_significance", 0.25, 1 / 8, logarithm=True),
    Input("d0", 0.01, 1 / 8, logarithm=True),
    Input("d0_significance", 0.25, 1 / 8, logarithm=True),
)
"""What is measured of the candidate itself. Kinds are 0 or 1; displacements, in size and in units of their errors, are
those of charged candidates, 0 where there is no track."""
INPUTS = (
    *OWN,
    *(Input(name, 0.0625, 1 / 16, logarithm=True) if name == "leading_shape" else _momentum(name) for name in NAMES),
)
"""All inputs, in their order."""

_FACTORS = np.array([1.0 / column.unit for column in INPUTS], dtype=np.float32)
_SCALES = np.array([column.scale for column in INPUTS], dtype=np.float32)
_LOGARITHMS = np.array([column.logarithm for column in INPUTS])


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Student:
    """Weights of a small network that was taught by `total`; see the module.

    Every candidate is weighted, whatever its charge. Without ``pdg_id`` no candidate is a photon, without ``dz`` and
    its error none is displaced: so it was in a part of the training. An event without candidates gets none; weights
    depend neither on the other crossings nor on the order of candidates.

    References
    ----------
    DistillNet, arXiv:2311.12551; ours differs in inputs, loss and the clip at the end: see docs/trigger.md.
    """

    model: str = "total-student"
    """Name of a shipped model, or the path of an .onnx file that `hardscatter.training.distillation` wrote."""

    def weights(self, events: Events) -> ak.Array:
        """Return the weights, jagged float32 in [0, 1]; raises `UnreadableFileError` if there is no such model."""
        network = _load(*_found(self.model))
        offsets, fill = inputs_by_crossing(events)
        result = np.empty(offsets[-1], dtype=np.float32)

        def run(first: int, last: int) -> None:
            for crossing in range(first, last):
                inputs, start = fill(crossing), offsets[crossing]
                for row in range(0, len(inputs), _ROWS):
                    some = inputs[row : row + _ROWS]
                    result[start + row : start + row + len(some)] = _applied(network, some, self.model)

        over_crossings(run, len(offsets) - 1)
        return jagged(result, offsets)


def student_inputs(events: Events) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the inputs of all candidates, shape (N, 35), in [0, 2], never NaN, and where each crossing starts."""
    offsets, fill = inputs_by_crossing(events)
    matrix = np.empty((int(offsets[-1]), len(INPUTS)), dtype=np.float32)

    def run(first: int, last: int) -> None:
        for crossing in range(first, last):
            matrix[offsets[crossing] : offsets[crossing + 1]] = fill(crossing)

    over_crossings(run, len(offsets) - 1)
    return matrix, offsets


def inputs_by_crossing(events: Events) -> tuple[NDArray[np.int64], Any]:
    """Return where each crossing starts, and what gives the inputs of a crossing's candidates by its number."""
    offsets, sums = tower_sums(events)
    there = [name for name in _OPTIONAL if events.has(f"candidates.{name}")]
    _, columns = flat_candidates(events, *_NEEDED, *there)
    measured = dict(zip((*_NEEDED, *there), columns, strict=True))

    def fill(crossing: int) -> NDArray[np.float32]:
        here = slice(offsets[crossing], offsets[crossing + 1])
        n = here.stop - here.start
        matrix = np.empty((n, len(INPUTS)), dtype=np.float32)
        sums(crossing, matrix[:, len(OWN) :])
        pt, eta, charge, vertex = (measured[name][here] for name in _NEEDED)
        _own(pt, eta, charge, vertex, measured.get("pdg_id", vertex[:0])[here], matrix)
        for column, name in ((6, "dz"), (8, "d0")):
            if name in measured:
                none = pt[:0]
                _displacements(charge, measured[name][here], measured.get(f"{name}_error", none)[here], column, matrix)
        _scaled(matrix, _FACTORS, _SCALES, _LOGARITHMS)
        return matrix

    return offsets, fill


_NEEDED = ("pt", "eta", "charge", "vertex")
_OPTIONAL = ("pdg_id", "dz", "dz_error", "d0", "d0_error")
_FARTHEST = 1e4  # mm, and errors: beyond it is nothing measured


@lane_kernel
def _own(
    pt: NDArray[Any],
    eta: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    pdg_id: NDArray[np.int32],
    matrix: NDArray[np.float32],
) -> None:
    """Fill the columns of `OWN` as measured, displacements with nothing."""
    for i in range(len(pt)):
        charged = charge[i] != 0
        matrix[i, 0] = pt[i]
        matrix[i, 1] = abs(eta[i])
        matrix[i, 2] = not charged and len(pdg_id) > 0 and (abs(pdg_id[i]) == 22 or pdg_id[i] == 2)
        matrix[i, 3] = charged and vertex[i] == LEADING
        matrix[i, 4] = charged and vertex[i] > LEADING
        matrix[i, 5] = charged and vertex[i] < LEADING
        for column in range(6, 10):
            matrix[i, column] = 0.0


@lane_kernel
def _displacements(
    charge: NDArray[np.int8], distance: NDArray[Any], error: NDArray[Any], column: int, matrix: NDArray[np.float32]
) -> None:
    """Fill the size of a displacement and, in the next column, in units of its error; NaN is none."""
    for i in range(len(charge)):
        size = abs(distance[i])
        if charge[i] != 0 and size < _FARTHEST:
            matrix[i, column] = size
            if len(error) > 0 and error[i] > 0:
                matrix[i, column + 1] = min(size / error[i], _FARTHEST)


@lane_kernel
def _scaled(
    matrix: NDArray[np.float32], factors: NDArray[np.float32], scales: NDArray[np.float32], logs: NDArray[np.bool_]
) -> None:
    """Bring all columns to their scales."""
    for i in range(len(matrix)):
        for c in range(len(factors)):
            value = matrix[i, c] * factors[c]
            doublings = np.float32(np.float32(value + np.float32(1.0)).view(np.int32) - _ONE) * _PER_DOUBLING
            x = scales[c] * (doublings if logs[c] else value)
            matrix[i, c] = min(x, np.float32(LARGEST))


def _applied(network: Any, inputs: NDArray[np.float32], model: str) -> NDArray[np.float32]:
    """Return what a model makes of inputs, one weight for each row."""
    try:
        weights: NDArray[np.float32] = network.run(["weights"], {"inputs": inputs})[0]
        wrong = "its weights are not one number for each candidate" if weights.shape != (len(inputs),) else ""
    except Exception as problem:  # what ONNX Runtime raises has no class of its own
        wrong = str(problem).partition("\n")[0]
    if wrong:
        raise UnreadableFileError(f"student {model} fails ({wrong}): train or export it again.")
    return weights


def _found(model: str) -> tuple[Path, int]:
    """Return where a model lies, and when it was changed."""
    path = Path(model).expanduser() if model.endswith(MODEL_SUFFIX) else MODELS / f"{model}{MODEL_SUFFIX}"
    if not path.is_file():
        raise UnreadableFileError(f"there is no student {path}: give the path of an .onnx file, or none.")
    return path, path.stat().st_mtime_ns


def is_student(path: str) -> bool:
    """Tell whether a file is an ONNX model that says it is a student; its inputs are not looked at."""
    try:
        return bool(_session(*_found(path)).get_modelmeta().custom_metadata_map.get("kind") == KIND)
    except UnreadableFileError:
        return False


def _load(path: Path, changed: int) -> Any:
    """Load a model, and make sure that it is a student of these inputs."""
    session = _session(path, changed)
    about = session.get_modelmeta().custom_metadata_map
    if about.get("kind") != KIND:
        raise UnreadableFileError(f"{path} is no student: train or export it again.")
    try:
        names = [column["name"] for column in json.loads(about["inputs"])]
    except (KeyError, TypeError, ValueError):
        raise UnreadableFileError(f"{path} does not say its inputs: train or export it again.") from None
    if names != [column.name for column in INPUTS]:
        raise UnreadableFileError(f"{path} takes other inputs than this version makes: train or export it again.")
    return session


@lru_cache(maxsize=16)
def _session(path: Path, _changed: int) -> Any:
    """Load a model once a process."""
    check_contained(path)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        _ = session.get_modelmeta().custom_metadata_map  # fails where its texts are none
        return session
    except Exception as problem:  # what ONNX Runtime raises has no class of its own
        reason = str(problem).partition("\n")[0]
        raise UnreadableFileError(f"{path} is no student ({reason}): train or export it again.") from None
