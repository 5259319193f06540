"""What a training waits for: sliced Wasserstein with its gradient, and a step of the shipped configuration `total`.

- `hardscatter.transport` against POT (`ot.sliced_wasserstein_distance`): a crossing at pileup 200 and the same hard
  collision alone, 128 directions, the same for both; value and gradient in the weights. With masses (`swd:mass`) and
  with positions that the weights scale, padded to equal numbers (`swd:paper`). GeomLoss knows no sliced distance; it is
  not compared.
- A step: network, loss, way back, Adam, for one crossing. The peer has the same parameters, loss and optimiser, but its
  attention is written as in the paper: (N, k, width) arrays of differences, gathered by indexing, and PyTorch's own way
  back. Gradients of all parameters agree within 1e-3 of the largest of each: sums have another order.
- What a step needs besides: a pair of crossings simulated, and made a batch with features and neighbours.

All in one thread.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.crossings import N_MINBIAS, SEED
from benchmarks.harness import Case

SLICES = 128
TOLERANCE = 1e-3


def cases() -> Iterator[Case]:
    """Yield the cases."""
    try:
        import torch
    except ImportError:
        print("training: PyTorch is not installed; all is left out.")
        return
    torch.set_num_threads(1)
    from hardscatter.simulation import stream
    from hardscatter.training.batches import batch_of
    from hardscatter.training.configuration import load_configuration

    training = load_configuration("total")
    pairs = stream("ttbar-semileptonic", n_hard=8, step=8, pileup="fixed:200", seed=SEED, n_minbias=N_MINBIAS)

    def made() -> Any:
        alone, events = pairs[0]
        return batch_of(alone, events, 0, training.schema, training.network.links, seed=training.seed)

    batch = made().split()[0]
    yield from _sliced(batch)
    yield from _step(training, batch)
    yield Case("pairs simulated and made a batch", made, per_call=8, unit="pair", repeats=5)


def _sliced(batch: Any) -> Iterator[Case]:
    try:
        import ot
    except ImportError:
        print("training: POT is not installed; sliced Wasserstein is left out.")
        return
    import torch
    from torch.nn.functional import pad

    from hardscatter.transport import random_directions
    from hardscatter.transport.features import CYLINDER, PT, PUBLISHED, positions
    from hardscatter.transport.sliced import padded_sliced_wasserstein, sliced_wasserstein

    here, there = batch.crossings.kinematics, batch.alone.kinematics
    generator = torch.Generator().manual_seed(SEED)
    chances = torch.rand(len(here), generator=generator)

    def gradient(distance: Callable[[Any], Any]) -> Any:
        weights = chances.clone().requires_grad_()
        return torch.autograd.grad(distance(weights), weights)[0]

    x, y = positions(here, CYLINDER), positions(there, CYLINDER)
    pt, pt_there = here[:, PT], there[:, PT]
    directions = random_directions(SLICES, x.shape[1], generator, x)
    yield _against_pot(
        "sliced Wasserstein, masses",
        lambda: gradient(lambda w: sliced_wasserstein(x, y, directions, w * pt, pt_there)),
        lambda: gradient(
            lambda w: ot.sliced_wasserstein_distance(
                x, y, w * pt / (w * pt).sum(), pt_there / pt_there.sum(), projections=directions.T
            ) ** 2
        ),
    )  # fmt: skip
    u, v = positions(here, PUBLISHED), positions(there, PUBLISHED)
    filled = pad(v, (0, 0, 0, len(u) - len(v)))
    axes = random_directions(SLICES, u.shape[1], generator, u)
    yield _against_pot(
        "sliced Wasserstein, padded",
        lambda: gradient(lambda w: padded_sliced_wasserstein(w[:, None] * u, v, axes)),
        lambda: gradient(lambda w: ot.sliced_wasserstein_distance(w[:, None] * u, filled, projections=axes.T) ** 2),
    )


def _against_pot(name: str, ours: Callable[[], Any], peer: Callable[[], Any]) -> Case:
    _check(name, ours(), peer())
    return Case(name, ours, peer, "POT", repeats=5, least_ratio=1.0)


def _check(name: str, ours: Any, peers: Any) -> None:
    difference = float((ours - peers).abs().max() / peers.abs().max())
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{name}: the peer's gradient differs by {difference:.2g} of the largest.")


def _step(training: Any, batch: Any) -> Iterator[Case]:
    import torch

    from hardscatter.training.module import make_network
    from hardscatter.training.objectives import Sum

    objective = Sum.of(training.objective)
    ours = make_network(training)
    peer = copy.deepcopy(ours)
    for block in peer.blocks:
        block.attention.forward = _as_written.__get__(block.attention)

    def backward(network: Any) -> None:
        weights = network(batch.inputs.features, batch.inputs.coordinates, batch.inputs.neighbours)
        loss, _ = objective(weights, batch, torch.Generator().manual_seed(SEED))
        loss.backward()

    for network in (ours, peer):
        backward(network)
    for (name, mine), other in zip(ours.named_parameters(), peer.parameters(), strict=True):
        _check(name, mine.grad, other.grad)

    def job(network: Any) -> Callable[[], None]:
        optimiser = torch.optim.Adam(network.parameters(), training.optimiser.rate)

        def step() -> None:
            optimiser.zero_grad()
            backward(network)
            optimiser.step()

        return step

    yield Case("training step, total", job(ours), job(peer), "PyTorch as in the paper", repeats=5, least_ratio=1.0)


def _as_written(attention: Any, x: Any, neighbours: Any, edges: Any) -> Any:
    """Return what `hardscatter.nets.gap.GAP` does, with every y_ij written down."""
    from torch.nn.functional import leaky_relu

    from hardscatter.nets.gap import masked_softmax

    there, index = neighbours >= 0, neighbours.clamp(min=0)
    y = attention.difference(x[:, None] - x[index]) + attention.edge(edges)
    logits = attention.self_attention(attention.norm(attention.node(x))) + attention.edge_attention(y)[..., 0]
    shares = masked_softmax(leaky_relu(logits, 0.2), there)
    return x + (shares[..., None] * y).sum(1).relu()
