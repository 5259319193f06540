"""Learned methods: trained networks, run by our own kernels or by ONNX Runtime; torch is not needed.

A network gives candidate i, from its features x_i, its k nearest neighbours N(i) and what lies between them,

    w_i = σ(f(x_i, {x_j, e_ij : j ∈ N(i)})),   e_ij = (ΔR, Δη, Δφ, ln(pt_j / ΔR)),

where f is what was trained, one or several hops deep, and σ the logistic function. Its file, which
`hardscatter.nets.export` writes, says which features it wants (their schema and its hash) and how many neighbours.
Graph attention networks run in `hardscatter.pileup.attention`, after a proof on a few made-up candidates that it gives
what ONNX Runtime makes of the file; all others run in ONNX Runtime.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import onnxruntime  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.errors import MissingExtraError, SettingsError, UnreadableFileError
from hardscatter.events import Events, flat_candidates, jagged
from hardscatter.geometry import NO_NEIGHBOUR
from hardscatter.pileup.attention import Attention, attention
from hardscatter.pileup.features import FeatureSchema, coordinates, features
from hardscatter.pileup.links import Links, Nearest, links_from_json, links_of
from hardscatter.pileup.method import CPU, MODEL_SUFFIX
from hardscatter.pileup.parameters import check_contained, read_parameters
from hardscatter.threads import over_crossings

MODELS = Path(__file__).parent / "models"
"""Where the shipped models lie."""
DEVICE_CHUNK = 500_000
"""Candidates that keep a GPU busy, about fifty crossings: of its memory they take some 3 GB."""
SPREAD = "-spread"
"""What the model of a model's errors is called more."""

_SAME = 1e-5
"""Largest difference to ONNX Runtime's weights of made-up candidates with which our own kernels are used."""
_REMEDY = "export the network again (hardscatter export)"
_SMALLER = "take a smaller chunk if memory is short, else export the network again"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Learned:
    """Weights of a trained network; see the module for the equation.

    Every candidate is weighted by the network, whatever its charge. Fields that the network may use and the events
    lack count as absent, as in its training; none but kinematics, charge and vertex is needed. An event without
    candidates gets none; weights do not depend on the crossings beside an event, nor on `chunk` or the number of
    threads, beyond rounding (10⁻⁶).

    References
    ----------
    ABCNet, arXiv:2001.05311; TOTAL, arXiv:2211.02029.
    """

    model: str
    """Name of a shipped model, or the path of an .onnx file."""
    chunk: int = 20_000
    """Candidates that the network sees at once, at least one crossing: the memory of each thread grows with it. A GPU
    wants many (`DEVICE_CHUNK`)."""
    device: str = CPU
    """Where neighbours, features and network run: "cpu", our kernels; or a device of PyTorch, such as "cuda" or
    "cuda:1", for graph attention networks (`hardscatter.device`). Weights agree within 10⁻⁵."""

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"chunk is {self.chunk}: the network must see at least 1 candidate at once.")

    def weights(self, events: Events) -> ak.Array:
        """Return the network's weights, jagged float32 in [0, 1]; raises `UnreadableFileError` as `describe` does."""
        return weigh(events, [self])[0]


TOTAL = Learned("total")
TOTAL_PAPER = Learned("total-paper")
SUPERVISED = Learned("supervised")


def weigh(events: Events, methods: Sequence[Learned]) -> list[ak.Array]:
    """Return the weights of several networks; what two of them want of a crossing is made once.

    At once they see as many candidates as the one with the smallest chunk.

    Raises
    ------
    UnreadableFileError
        As `describe`.
    SettingsError, MissingExtraError
        If they name several devices, or one that does not serve (`hardscatter.device.weigh`); without PyTorch.
    """
    networks = [load(method.model) for method in methods]
    offsets, _ = flat_candidates(events)
    edges = _chunks(offsets, min((method.chunk for method in methods), default=1))
    devices = {method.device for method in methods}
    if devices - {CPU}:
        return [jagged(result, offsets) for result in _engine()(events, networks, edges, _only(devices))]
    results = [np.empty(offsets[-1], dtype=np.float32) for _ in networks]

    def run(first: int, last: int) -> None:
        for a, b in pairwise(edges[first : last + 1]):
            inputs = Inputs(events[a:b])
            for network, result in zip(networks, results, strict=True):
                result[offsets[a] : offsets[b]] = network.weights(inputs)

    over_crossings(run, len(edges) - 1)
    return [jagged(result, offsets) for result in results]


def _engine() -> Any:
    """Return what weighs on other devices: in a room above, for it needs PyTorch, and so found by its name."""
    try:
        return import_module("hardscatter.device").weigh
    except ModuleNotFoundError as problem:
        raise MissingExtraError(f"a device needs {problem.name}: pip install 'hardscatter[train]'.") from None


def _only(devices: set[str]) -> str:
    if len(devices) > 1:
        raise SettingsError(f"networks that run together need one device, not {', '.join(sorted(devices))}.")
    return devices.pop()


class Inputs:
    """What networks want of some crossings, each made when first asked for."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._features: dict[str, NDArray[np.float32]] = {}
        self._links: dict[Links, NDArray[np.int64]] = {}

    def features(self, schema: FeatureSchema, key: str) -> NDArray[np.float32]:
        """Return the feature matrix of a schema; its hash is the key."""
        if key not in self._features:
            self._features[key], _ = features(self._events, schema)
        return self._features[key]

    @cached_property
    def coordinates(self) -> NDArray[np.float32]:
        """The coordinates of all candidates."""
        return coordinates(self._events)

    def links(self, links: Links) -> NDArray[np.int64]:
        """Return whom each candidate looks at."""
        if links not in self._links:
            self._links[links] = links_of(self._events, links)
        return self._links[links]


@dataclasses.dataclass(frozen=True)
class ModelCard:
    """What a model's file says of itself."""

    path: Path
    schema: FeatureSchema
    """The features that it wants; `schema_hash` is their hash."""
    schema_hash: str
    settings: dict[str, Any]
    """Sizes of the network."""
    links: Links
    """Whom a candidate looks at."""
    local: bool
    """Whether the network can be asked about some candidates alone."""
    cards: dict[str, str]
    """Hash of each detector card of the training, by name."""
    training: dict[str, Any]
    """Resolved configuration of the training."""
    version: str
    """Version of hardscatter that made it; empty, as the two above, where the file does not say."""
    largest_difference: float | None
    """Largest difference to torch of any weight, when it was exported."""


def describe(model: str) -> ModelCard:
    """Return what the file of a model says of it.

    Parameters
    ----------
    model
        Name of a shipped model, or the path of an .onnx file.

    Raises
    ------
    UnreadableFileError
        If there is no such model, its file is not ONNX or lacks the metadata, the schema is not the one its hash
        stands for, or the graph's inputs and outputs are not those of `hardscatter.nets.export`.
    """
    return load(model).card


def spread_of(method: Learned) -> Learned | None:
    """Return the model of how far a method's weights are uncertain, or None if there is none.

    It belongs to a model by its name alone: NAME-spread to the shipped model NAME, path-spread.onnx to path.onnx.
    """
    suffix = MODEL_SUFFIX if method.model.endswith(MODEL_SUFFIX) else ""
    name = f"{method.model.removesuffix(MODEL_SUFFIX)}{SPREAD}{suffix}"
    path = Path(name).expanduser() if suffix else MODELS / f"{name}{MODEL_SUFFIX}"
    return dataclasses.replace(method, model=name) if path.is_file() else None


@dataclasses.dataclass(frozen=True)
class Network:
    """A loaded model."""

    card: ModelCard
    session: Any

    @cached_property
    def attention(self) -> Attention | None:
        """The same network for our own kernels, if it is of their kind and gives the same weights."""
        card = self.card
        try:
            with np.errstate(all="ignore"):  # parameters of any bits, until the trial below
                ours = attention(card.settings, len(card.schema), read_parameters(card.path))
        except (OSError, ValueError):  # it is gone, or written in a way that ONNX Runtime reads and we do not
            return None
        if ours is None:
            return None
        tried = made_up(len(card.schema), card.links.width)
        with _one_sentence(f"model {card.path} fails on made-up candidates", _REMEDY):
            difference = np.abs(ours.weights(*tried) - self._onnx(*tried))
        return ours if difference.max() <= _SAME else None  # a NaN is refused as well

    def weights(self, inputs: Inputs) -> NDArray[np.float32]:
        """Return the weights of all candidates, shape (N,), all crossings given to the network at once."""
        matrix = inputs.features(self.card.schema, self.card.schema_hash)
        if not len(matrix):
            return np.zeros(0, dtype=np.float32)
        return self.run(matrix, inputs.coordinates, inputs.links(self.card.links))

    def run(
        self, features: NDArray[np.float32], coordinates: NDArray[np.float32], neighbours: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the weights of all candidates, shape (N,), from the inputs that `hardscatter.nets.export` names.

        Raises
        ------
        UnreadableFileError
            If the inputs are not those that the model takes, or the weights not numbers in [0, 1].
        """
        n = len(features)
        execute = self._onnx if self.attention is None else self.attention.weights
        with _one_sentence(f"model {self.card.path} fails on {n} candidates", _SMALLER):
            weights = execute(features, coordinates, neighbours)
        return self.checked(weights, n)

    def checked(self, weights: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        """Return weights of `n` candidates; raises UnreadableFileError if they are not numbers in [0, 1]."""
        if weights.shape != (n,) or not ((weights >= 0) & (weights <= 1)).all():  # a NaN is refused as well
            raise UnreadableFileError(
                f"model {self.card.path} gives weights that are not one number from 0 to 1 for each candidate: "
                "train or export it again."
            )
        return weights

    def _onnx(
        self, features: NDArray[np.float32], coordinates: NDArray[np.float32], neighbours: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return what ONNX Runtime makes of the inputs."""
        inputs = {"features": features, "coordinates": coordinates, "neighbours": neighbours}
        if self.card.local:
            inputs["queries"] = np.arange(len(features))
        weights: NDArray[np.float32] = self.session.run(["weights"], inputs)[0]
        return weights


def made_up(n_features: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return features, coordinates and neighbours to try a network on; a tenth of the neighbours is not there."""
    n, rng = 101, np.random.default_rng(1)
    features = rng.normal(size=(n, n_features))
    coordinates = np.stack([rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)], axis=1)
    neighbours = np.where(rng.random((n, width)) < 0.1, NO_NEIGHBOUR, rng.integers(n, size=(n, width)))
    neighbours[0] = NO_NEIGHBOUR
    return features.astype(np.float32), coordinates.astype(np.float32), neighbours


def _chunks(offsets: NDArray[np.int64], chunk: int) -> list[int]:
    """Return the edges of contiguous ranges of crossings of at most `chunk` candidates, or of one crossing."""
    edges = [0]
    while edges[-1] < len(offsets) - 1:
        within = int(np.searchsorted(offsets, offsets[edges[-1]] + chunk, side="right")) - 1
        edges.append(max(within, edges[-1] + 1))
    return edges


def load(model: str) -> Network:
    """Return a model ready to run, loaded once a process; arguments and errors as for `describe`."""
    path = _path(model)
    about = path.stat()
    return _load(path, about.st_mtime_ns, about.st_size)


def _path(model: str) -> Path:
    """Return where a model lies."""
    if model.endswith(MODEL_SUFFIX):
        try:
            path = Path(model).expanduser().resolve()
        except (OSError, ValueError, RuntimeError):  # a link to itself, a zero byte, nobody's home
            raise UnreadableFileError(f"{model!r} is no name of a model: check it.") from None
        if not path.is_file():
            raise UnreadableFileError(f"there is no model {model}: give the path of an .onnx file.")
        return path
    shipped = {path.stem: path for path in sorted(MODELS.glob(f"*{MODEL_SUFFIX}"))}
    if model not in shipped:
        raise UnreadableFileError(
            f"there is no shipped model '{model}' (there are: {', '.join(shipped) or 'none'}): give one of these or "
            "the path of an .onnx file."
        )
    return shipped[model]


@lru_cache(maxsize=16)  # an ensemble and more
def _load(path: Path, _modified: int, _size: int) -> Network:
    """Load a model once a process; a file that changed is another one."""
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    # Parallel means several chunks at once (`over_crossings`), each in one thread.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A plan for each shape seen would hold memory, and no two chunks have one shape. The arena stays: without it
    # threads wait for the kernel to map the same memory again and again, and two are hardly faster than one.
    options.enable_mem_pattern = False
    check_contained(path)
    with _one_sentence(f"{path} is no model that ONNX Runtime can load", _REMEDY):
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Network(_card(path, session), session)


@contextmanager
def _one_sentence(what: str, remedy: str) -> Iterator[None]:
    """Turn what ONNX Runtime raises, which has no class of its own, into one sentence."""
    try:
        yield
    except Exception as problem:
        reason = str(problem).partition("\n")[0]
        raise UnreadableFileError(f"{what} ({reason}): {remedy}.") from None


def _card(path: Path, session: Any) -> ModelCard:
    """Return the card of a model after checking that it is whole and fits the graph."""
    with _one_sentence(f"model {path} has unreadable metadata", _REMEDY):
        about = session.get_modelmeta().custom_metadata_map
    missing = [key for key in ("schema", "schema_hash", "settings") if key not in about]
    if missing:
        raise UnreadableFileError(f"model {path} does not say its {missing[0]}: {_REMEDY}.")
    try:
        schema = FeatureSchema.from_json(about["schema"])
        settings = dict(json.loads(about["settings"]))
        cards, training = (dict(json.loads(about.get(key, "{}"))) for key in ("cards", "training"))
        # The first models had no other links and said k alone.
        links = links_from_json(about["links"]) if "links" in about else Nearest(k=int(settings["k"]))
        difference = float(about["largest_difference"]) if "largest_difference" in about else None
    except (ValueError, TypeError, KeyError):
        raise UnreadableFileError(f"model {path} has unreadable metadata: {_REMEDY}.") from None
    if schema.hash() != about["schema_hash"]:
        raise UnreadableFileError(
            f"model {path} was made for a feature schema of hash {about['schema_hash']}, the one in it has "
            f"{schema.hash()}: {_REMEDY}."
        )
    local = _check_graph(path, session, len(schema), links.width)
    version = about.get("version", "")
    return ModelCard(path, schema, schema.hash(), settings, links, local, cards, training, version, difference)


def _check_graph(path: Path, session: Any, n_features: int, width: int) -> bool:
    """Make sure that inputs and outputs are those of `hardscatter.nets.export`; tell whether there are queries."""
    inputs, outputs = (_shapes(nodes) for nodes in (session.get_inputs(), session.get_outputs()))
    local = "queries" in inputs
    wanted = {
        "features": f"tensor(float) (any, {n_features})",
        "coordinates": "tensor(float) (any, 3)",
        "neighbours": f"tensor(int64) (any, {width})",
        **({"queries": "tensor(int64) (any)"} if local else {}),
    }
    _check_same(path, "takes", inputs, wanted)
    _check_same(path, "gives", outputs, {"weights": "tensor(float) (any)"})
    return local


def _shapes(nodes: Any) -> dict[str, str]:
    """Return type and shape of inputs or outputs by name, as text; a length that is free is "any"."""
    return {
        node.name: f"{node.type} ({', '.join(str(n) if isinstance(n, int) else 'any' for n in node.shape)})"
        for node in nodes
    }


def _check_same(path: Path, verb: str, found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    if found != wanted:
        lists = (", ".join(f"{name}: {shape}" for name, shape in these.items()) for these in (found, wanted))
        raise UnreadableFileError("model {} {} {} instead of {}: {}.".format(path, verb, *lists, _REMEDY))
