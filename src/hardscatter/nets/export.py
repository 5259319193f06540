"""From PyTorch to ONNX, with a proof that both give the same weights.

Inputs of the graph, all for the candidates of one or more crossings one after another:

=============== ======== ================ ====================================================================
``features``    float32  (N, n_features)  `hardscatter.pileup.features.features` with the schema in the metadata
``coordinates`` float32  (N, 3)           `hardscatter.pileup.features.coordinates`: η, φ, ln(pt/GeV)
``neighbours``  int64    (Q, width)       `hardscatter.pileup.links`, −1 where there is none
``queries``     int64    (Q,)             only for a local network: the candidates whose weights are wanted
=============== ======== ================ ====================================================================

Its output is ``weights``, float32, shape (Q,); without ``queries`` Q = N. N and Q may be any number, 0 too. The
metadata of the model holds ``schema``, ``links`` and ``settings`` as JSON, ``schema_hash``, and ``largest_difference``;
``inputs`` and ``outputs`` say the same in words, with units and normalisation, to who has no hardscatter.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped, unused-ignore]
import torch
from numpy.typing import NDArray

from hardscatter.errors import SettingsError
from hardscatter.nets import ABCNet, Network
from hardscatter.nets.meaning import inputs_in_words, outputs_in_words
from hardscatter.pileup.links import links_to_json

PARITY_SIZES = (0, 1, 20, 500, 9000)
TOLERANCE = 1e-5


class Schema(Protocol):
    """What says how features are made: `hardscatter.pileup.features.FeatureSchema`, or another with these."""

    def __len__(self) -> int: ...

    def to_json(self) -> str:
        """Return the schema as JSON."""

    def hash(self) -> str:
        """Return what tells schemas apart."""


def export_onnx(
    network: Network,
    path: str | Path,
    schema: Schema,
    *,
    metadata: Mapping[str, str] | None = None,
    sizes: Sequence[int] = PARITY_SIZES,
    tolerance: float = TOLERANCE,
    say: Callable[[str], object] = print,
) -> float:
    """Write a network as an ONNX model after checking that ONNX Runtime gives the same weights.

    Parameters
    ----------
    network
        The network; neither its mode nor its parameters are changed.
    path
        Where to write; nothing is written if the check fails.
    schema
        The schema of the features that it was trained with.
    metadata
        More to keep in the model, such as how it was trained.
    sizes, tolerance, say
        See `check_parity`.

    Returns
    -------
    float
        The largest difference of any weight.

    Raises
    ------
    SettingsError
        If the schema does not fit the network, or the weights differ by more than the tolerance.
    """
    if len(schema) != network.n_features:
        raise SettingsError(f"export: the network takes {network.n_features} features, the schema has {len(schema)}.")
    model = to_onnx(network)
    largest = check_parity(network, model, sizes=sizes, tolerance=tolerance, say=say)
    about = {
        **(metadata or {}),
        "schema": schema.to_json(),
        "schema_hash": schema.hash(),
        "links": links_to_json(network.settings.links),
        "settings": json.dumps(dataclasses.asdict(network.settings), sort_keys=True),
        "inputs": inputs_in_words(schema.to_json()),
        "outputs": outputs_in_words(),
        "largest_difference": f"{largest:.3g}",
    }
    onnx.helper.set_model_props(model, about)
    onnx.save(model, str(path))
    return largest


def to_onnx(network: Network) -> onnx.ModelProto:
    """Return the network as an ONNX model, N and Q free, by way of `torch.export` (the older way gave wrong sums)."""
    example = parity_inputs(network, 2 * network.settings.links.width + 3)
    n, q = torch.export.Dim("n"), torch.export.Dim("q")
    local = is_local(network)
    shapes: dict[str, Any] = {"features": {0: n}, "coordinates": {0: n}, "neighbours": {0: q if local else n}}
    shapes["queries"] = {0: q} if local else None
    names = [name for name in shapes if name in example]
    training = network.training
    try:
        with _quiet():
            program = torch.onnx.export(
                network.eval(),
                tuple(torch.from_numpy(example[name]) for name in names),
                dynamo=True,
                dynamic_shapes=tuple(shapes[name] for name in names),
                input_names=names,
                output_names=["weights"],
                verbose=False,
            )
    finally:
        network.train(training)
    if program is None:  # only the older exporter returns nothing
        raise SettingsError("export: torch returned no ONNX program.")
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says about its own insides."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")  # "torchvision is not installed"
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # torch copies its own tree specs, whose class it has deprecated.
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            # One name for the common length of several inputs is what is wanted.
            warnings.filterwarnings("ignore", r"# The axis name: \w+ will not be used", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def check_parity(
    network: Network,
    model: onnx.ModelProto,
    *,
    sizes: Sequence[int] = PARITY_SIZES,
    tolerance: float = TOLERANCE,
    say: Callable[[str], object] = print,
) -> float:
    """Return the largest difference between the weights of torch and of ONNX Runtime, and say it for every size.

    Parameters
    ----------
    network, model
        The network and what was exported from it.
    sizes
        Numbers of candidates to try, made up by `parity_inputs`.
    tolerance
        Largest difference allowed, beyond twice what single precision costs torch itself (its difference to the same
        network in double precision): a trained network with steep slopes rounds more than a fresh one.
    say
        Where one line a size goes.

    Raises
    ------
    SettingsError
        If a difference is above the tolerance or a weight is not finite.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    double = copy.deepcopy(network).double()

    def exact(inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        wide = {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in inputs.items()}
        with torch.no_grad():
            return _on_device(double, wide)

    largest = 0.0
    for size in sizes:
        inputs = parity_inputs(network, size)
        theirs = session.run(["weights"], inputs)[0]
        with torch.no_grad():
            ours = _on_device(network, inputs)
        if theirs.shape != ours.shape:
            raise SettingsError(
                f"export: {size} candidates give {theirs.shape} weights in ONNX, {ours.shape} in torch."
            )
        difference = float(np.max(np.abs(theirs - ours), initial=0.0))
        say(f"ONNX against torch, {size} candidates: largest difference {difference:.2g}")
        rounding = float(np.max(np.abs(ours - exact(inputs)), initial=0.0))
        allowed = tolerance + 2 * rounding
        if not difference <= allowed:  # a NaN is refused as well
            raise SettingsError(
                f"export: weights of {size} candidates differ by {difference:.2g}, above {allowed:.2g}."
            )
        largest = max(largest, difference)
    return largest


def _on_device(network: Network, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    parameter = next(network.parameters())
    weights: torch.Tensor = network(*(torch.from_numpy(value).to(parameter.device) for value in inputs.values()))
    return np.asarray(weights.cpu().numpy())


def is_local(network: Network) -> bool:
    """Tell whether the network can be asked about some candidates alone: its graph then takes ``queries``."""
    return isinstance(network, ABCNet) and network.settings.local


def parity_inputs(network: Network, n: int, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Return made-up inputs of `n` candidates by name, in the order of the graph; queries are every other one."""
    rng = np.random.default_rng((seed, n))
    eta, phi, log_pt = rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)
    links = network.settings.links.find(eta, phi, np.exp(log_pt), np.array([0, n]))
    queries = np.flatnonzero(np.arange(n) % 2 == 0)
    return {
        "features": rng.normal(size=(n, network.n_features)).astype(np.float32),
        "coordinates": np.stack([eta, phi, log_pt], axis=1).astype(np.float32),
        **({"neighbours": links[queries], "queries": queries} if is_local(network) else {"neighbours": links}),
    }
