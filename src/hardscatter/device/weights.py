"""Weights of graph attention networks on a device that PyTorch serves: neighbours, features and network, all there.

Many crossings go to the device at once and come back as weights. Neighbours are those of the processor; features and
weights agree with it to the rounding of single precision (10⁻⁵ in a weight).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hardscatter.device.features import Batch, Crossings
from hardscatter.errors import SettingsError
from hardscatter.events import Events
from hardscatter.nets.abcnet import ABCNet, AttentionSettings
from hardscatter.pileup.learned import Network, load, made_up
from hardscatter.pileup.parameters import read_parameters

_SAME = 1e-4
"""Largest difference to the processor's weights of made-up candidates with which a device is used."""


def weigh(
    events: Events, networks: Sequence[Network], edges: Sequence[int], device: str | torch.device
) -> list[NDArray[np.float32]]:
    """Return the weights of several networks for all candidates, flat.

    Parameters
    ----------
    events
        Crossings without truth.
    networks
        Graph attention networks, as `hardscatter.pileup.learned.load` returns them.
    edges
        Ranges of crossings that go to the device together: 0, …, number of crossings.
    device
        A device of torch, or its name: "cuda", "cuda:1"; torch's "cpu" runs the same code here.

    Raises
    ------
    SettingsError
        If there is no such device, it cannot do double precision or has too little memory, or a network is no graph
        attention network.
    UnreadableFileError
        If weights are not numbers in [0, 1].
    """
    chosen = usable_device(device)
    with full_precision(), torch.inference_mode(), _memory_to_spare(chosen):
        ours = [network_on(network, chosen) for network in networks]
        crossings = Crossings(events, {network.card.schema for network in networks})
        results = [np.empty(crossings.offsets[-1], dtype=np.float32) for _ in networks]
        for first, last in pairwise(edges):
            batch = crossings.batch(first, last, chosen)
            here = slice(crossings.offsets[first], crossings.offsets[last])
            for network, abcnet, result in zip(networks, ours, results, strict=True):
                result[here] = network.checked(_run(abcnet, network, batch), len(batch))
    return results


def usable_device(name: str | torch.device) -> torch.device:
    """Return a device after a trial; raises SettingsError if it is none that serves."""
    try:
        device = torch.device(name)
        torch.ones(1, dtype=torch.float64, device=device).sum().item()
    except Exception as problem:  # of five classes, as seen
        reason = str(problem).partition("\n")[0].rstrip(".")
        raise SettingsError(
            f"device '{name}' cannot be used ({reason}): name one that PyTorch sees here and that knows double "
            "precision, or cpu."
        ) from None
    return device


def network_on(network: Network, device: torch.device) -> ABCNet:
    """Return a model's network on a device, with a proof on made-up candidates that it gives the processor's weights.

    Raises
    ------
    SettingsError
        If the model is no graph attention network, or the weights differ.
    """
    about = network.card.path.stat()
    return _network_on(str(network.card.path), about.st_mtime_ns, about.st_size, device)


@contextmanager
def full_precision() -> Iterator[None]:
    """Multiply matrices of single precision as such, whatever else the process has chosen for its GPU."""
    settings = torch.backends.cuda.matmul
    before = settings.fp32_precision
    settings.fp32_precision = "ieee"
    try:
        yield
    finally:
        settings.fp32_precision = before


@contextmanager
def _memory_to_spare(device: torch.device) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError:
        raise SettingsError(
            f"device '{device}' has too little memory for so many candidates: take a smaller chunk."
        ) from None


def _run(abcnet: ABCNet, network: Network, batch: Batch) -> NDArray[np.float32]:
    if not len(batch):
        return np.zeros(0, dtype=np.float32)
    weights = abcnet(batch.features(network.card.schema), batch.coordinates, batch.links(network.card.links))
    return np.asarray(weights.cpu().numpy())


@lru_cache(maxsize=16)
def _network_on(path: str, _modified: int, _size: int, device: torch.device) -> ABCNet:
    network = load(path)
    card = network.card
    if card.settings.get("kind", "attention") != "attention":
        raise SettingsError(
            f"model {path} is no graph attention network ('{card.settings['kind']}'): it runs on device 'cpu' alone."
        )
    known = {field.name for field in fields(AttentionSettings)}
    settings = AttentionSettings(**{key: value for key, value in card.settings.items() if key in known})
    abcnet = ABCNet(settings, len(card.schema)).eval().requires_grad_(False)
    try:
        abcnet.load_state_dict(_parameters(abcnet, read_parameters(Path(path))))
    except (OSError, ValueError, RuntimeError):  # something is missing or has another shape
        raise SettingsError(f"model {path} was not exported by hardscatter: it runs on device 'cpu' alone.") from None
    abcnet = abcnet.to(device)
    tried = made_up(len(card.schema), card.links.width)
    weights = abcnet(*(torch.from_numpy(given).to(device) for given in tried)).cpu().numpy()
    difference = float(np.abs(weights - network.run(*tried)).max())
    if not difference <= _SAME:  # a NaN is refused as well
        raise SettingsError(
            f"model {path} gives weights on device '{device}' that differ by {difference:.2g} from the processor's: "
            "take device 'cpu'."
        )
    return abcnet


def _parameters(abcnet: ABCNet, stored: Mapping[str, NDArray[np.float32]]) -> dict[str, Tensor]:
    """Return the parameters of a fresh network from those in a file; who uses them proves them.

    What a matrix is multiplied by from the right the exporter turns over and names anew; of equal vectors it keeps one,
    such as of norms that are still as they began.
    """
    state = abcnet.state_dict()
    nameless = [values for name, values in stored.items() if name not in state and values.ndim == 2]
    for name, begun in state.items():
        turned = [values.T for values in nameless if values.T.shape == begun.shape]
        if name in stored:
            state[name] = torch.from_numpy(stored[name].copy())
        elif begun.ndim == 2:
            if len(turned) != 1:
                raise ValueError(f"{name} is not there")
            state[name] = torch.from_numpy(turned[0].copy())
    return state
