"""`total` on a GPU: neighbours, features and network in PyTorch, against our kernels in one thread of the processor.

- Batches of more and more crossings, from events in memory to weights in memory, both ways of the data included. Wall
  time, for the processor only waits; the note says crossings a second.
- The parts on their own, their data on the GPU already, at the largest batch. The note says which share of two limits
  of the same GPU a part reaches: bytes a second of copying within its memory, operations a second of a product of
  matrices in single precision, both measured here; bytes and operations are those that `benchmarks.counted` counts.

Weights are compared with the processor's when the cases are made.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

import hardscatter as hs
from benchmarks.crossings import crossings, repeated
from benchmarks.harness import Case
from hardscatter.events import flat
from hardscatter.pileup.features import coordinates, features
from hardscatter.pileup.learned import Learned, load
from hardscatter.pileup.links import links_of

if TYPE_CHECKING:
    import torch

MODEL = "total"
BATCHES = (1, 4, 16, 64)
TOLERANCE = 1e-5
PEER = "our kernels, one thread"
SIDE = 4096
"""Of the matrices that are multiplied; they are copied too, so many at once that no cache holds them."""

_Job = Callable[[], object]


def cases() -> Iterator[Case]:
    """Yield the cases; none, and a sentence, without a GPU; raise if weights are others than the processor's."""
    device = _gpu()
    if device is None:
        print("gpu: PyTorch sees no GPU here; this part needs one and is left out.")
        return
    yield from cases_on(device, crossings(), BATCHES)


def cases_on(device: torch.device, events: hs.Events, batches: tuple[int, ...], side: int = SIDE) -> Iterator[Case]:
    """Yield the cases for a device, the events again and again where a batch needs more."""
    for n in batches:
        together = repeated(events, n)
        ours, peer = (_mitigate(together, Learned(MODEL, chunk=10**9, device=str(device))), _mitigate(together, MODEL))
        difference = float(np.abs(flat(ours()) - flat(peer())).max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"gpu: weights differ by {difference:.2g} from the processor's.")
        note = f"{n / seconds(ours):.0f} crossings a second; largest difference {difference:.1g}."
        yield _case(f"{MODEL}, {n} crossings a batch", ours, peer, n, note)
    yield from _parts(device, repeated(events, batches[-1]), side)


def _parts(device: torch.device, events: hs.Events, side: int) -> Iterator[Case]:
    from benchmarks.counted import STEPS, counted
    from hardscatter.device.features import Batch, Crossings
    from hardscatter.device.weights import network_on

    network = load(MODEL)
    card, net, n = network.card, network_on(network, device), len(events)
    uploaded = Crossings(events, [card.schema])
    links, matrix, places = links_of(events, card.links), features(events, card.schema)[0], coordinates(events)
    peers: dict[str, _Job] = {
        "neighbours": lambda: links_of(events, card.links),
        "features": lambda: (features(events, card.schema), coordinates(events)),
        "network": lambda: network.run(matrix, places, links),
    }
    counts = counted(uploaded.batch(0, n, device), net, card)
    copied, multiplied = limits(device, side)
    ready = uploaded.batch(0, n, device)
    for step in STEPS.values():
        synchronised(lambda step=step: step(ready, net, card), device)()

    def job(name: str) -> _Job:
        def run() -> object:
            # The network finds what is made; the others begin with what was uploaded.
            batch = ready if name == "network" else Batch(ready.columns, ready.offsets, ready.there)
            return STEPS[name](batch, net, card)

        return synchronised(run, device)

    yield _case("to the device", synchronised(lambda: uploaded.batch(0, n, device), device), None, n)
    for name, peer in peers.items():
        ours, count = job(name), counts[name]
        took = seconds(ours)
        bytes_, operations = count.bytes / took, (count.products + count.others) / took
        note = (
            f"{bytes_ / 1e9:.3g} GB/s, {100 * bytes_ / copied:.2g} % of copying ({copied / 1e9:.3g} GB/s); "
            f"{operations / 1e9:.3g} GFLOP/s, {100 * operations / multiplied:.2g} % of a product of matrices "
            f"({multiplied / 1e9:.3g} GFLOP/s); {count.steps} steps."
        )
        yield _case(name, ours, peer, n, note)


def limits(device: torch.device, side: int = SIDE) -> tuple[float, float]:
    """Return bytes a second of copying, read and written, and operations a second of a product, single precision."""
    import torch

    from hardscatter.device.weights import full_precision

    many = torch.ones(16, side, side, device=device)
    copy = torch.empty_like(many)
    copied = 2 * many.nbytes / seconds(synchronised(lambda: copy.copy_(many), device))
    with full_precision():
        multiplied = 2 * side**3 / seconds(synchronised(lambda: many[0] @ many[1], device))
    return copied, multiplied


def synchronised(job: _Job, device: torch.device) -> _Job:
    """Return a job that ends when its device is done, without gradients."""
    import torch

    def run() -> object:
        with torch.inference_mode():
            result = job()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return result

    return run


def seconds(job: _Job, repeats: int = 5) -> float:
    """Return the median wall time of a job that has run before."""
    job()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _case(name: str, ours: _Job, peer: _Job | None, n: int, note: str = "") -> Case:
    against = PEER if peer is not None else "–"
    return Case(name, ours, peer, against, per_call=n, repeats=5, clock=time.perf_counter, note=note)


def _gpu() -> torch.device | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.device("cuda") if torch.cuda.is_available() else None


def _mitigate(events: hs.Events, method: Any) -> Callable[[], Any]:
    return lambda: hs.mitigate(events, method)
