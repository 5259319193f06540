"""Change one thing at a time in the training of `total`, and measure what it does.

    python tools/ablation.py docs/ablation.json --page docs/past_total.md [--rows "no attention" …] [-n 200]

Every row is a short training (768 crossings, twice each) of the committed configuration with one hop and one change,
on the same crossings in the same order, measured on the tuning sample: semileptonic tt̄, seed 202, pileup 140, whose
collisions are neither training nor test. A row that is done is kept in the JSON file and not done again; a killed run
goes on where it stopped. The page's text between the markers ``<!-- ablation -->`` and ``<!-- end ablation -->`` is
replaced by the table.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import torch
from pages import put, tuning_sample
from torch import Tensor

import hardscatter as hs
from hardscatter.events import LEADING, Events
from hardscatter.metrics import Observations, differences, observe_all, summarise
from hardscatter.pileup.links import Nearest
from hardscatter.training.batches import Batch
from hardscatter.training.configuration import Crossings, Training, load_configuration
from hardscatter.training.data import CrossingBatches
from hardscatter.training.module import make_network, share
from hardscatter.training.objectives import Sum
from hardscatter.training.trained import weigh

CROSSINGS, PASSES, AT_ONCE = 768, 2, 4
K = 24
"""Neighbours that are looked up; a row takes the nearest of them."""
QUANTITIES = {"ak4_central.pt": "central jets", "ak4_forward.pt": "forward jets", "met": "missing momentum"}
CELLS, SMALL, LARGE = (
    f"{{sizes: {sizes}, floor: 5, unit: 0.05}}"
    for sizes in ([0.05, 0.1, 0.2, 0.4, 0.8, 1.6], [0.05, 0.1], [0.4, 0.8, 1.6])
)
SHIPPED = "{sizes: [0.2, 0.4, 0.8, 1.6], floor: 5, unit: 0.05}"
GROWING = "{sizes: [0.05, 0.1, 0.2, 0.4, 0.8, 1.6], floor: 1, unit: 0.5}"


def cells(settings: str) -> str:
    """Return the objective with other cells."""
    return (
        f"objective=[{{loss: flow, settings: {settings}}}, {{loss: flow, candidates: neutral, settings: {settings}}}, "
        f"{{loss: flow, candidates: charged, settings: {settings}}}]"
    )


BASE = ("network.blocks=1", "optimiser.rate=2.0e-3", cells(CELLS))
"""One hop costs half the time of two, and the cells are all that were thought of."""


@dataclass(frozen=True)
class Row:
    """One change of the training."""

    name: str
    changes: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    """Parts of the names of features that are zeroed."""
    settled: bool = False
    """Charged candidates with a vertex keep weights 1 and 0 by it, whatever the network says."""


APART = (
    f"{{loss: flow, candidates: neutral, settings: {CELLS}}}, {{loss: flow, candidates: charged, settings: {CELLS}}}"
)
ALL = f"{{loss: flow, settings: {CELLS}}}"
ROWS = (
    Row("base: cells of 0.05 to 1.6, one hop"),
    Row("objective: supervised instead", ("objective=[{loss: hard_fraction}]",)),
    Row("objective: supervised as well", (f"objective=[{ALL}, {APART}, {{loss: hard_fraction, factor: 30}}]",)),
    Row("objective: TOTAL's, λ × 100", ("objective=[{loss: 'swd:paper'}, {loss: met, factor: 100}]",)),
    Row("objective: neutral and charged together only", (f"objective=[{ALL}]",)),
    Row("objective: neutral and charged apart only", (f"objective=[{APART}]",)),
    Row("objective: small cells only (0.05, 0.1)", (cells(SMALL),)),
    Row("objective: large cells only (0.4 to 1.6)", (cells(LARGE),)),
    Row("objective: cells of 0.2 to 1.6", (cells(SHIPPED),)),
    Row("objective: variance grows with the momentum", (cells(GROWING),)),
    Row("objective: with missing momentum", (f"objective=[{ALL}, {APART}, {{loss: met, factor: 0.1}}]",)),
    Row("pairs: detector drawn anew for each member", ("data.shared_draws=false",)),
    Row("pairs: pileup 140 instead of 0 to 200", ("data.pileup=140",)),
    Row("features: nothing around the candidate", hidden=("_within_", "_shape", "_in_strip")),
    Row("features: no PUPPI shapes", hidden=("_shape",)),
    Row("features: no strips", hidden=("_in_strip",)),
    Row("features: pileup level unknown", hidden=("n_vertices", "rho")),
    Row("network: no attention", ("network.blocks=0",)),
    Row("network: two hops", ("network.blocks=2",)),
    Row("network: 8 neighbours", ("network.k=8",)),
    Row("network: 24 neighbours", (f"network.k={K}",)),
    Row("charged candidates settled by their vertex", settled=True),
)


class Network:
    """A network trained on the crossings of a row; a mitigation method."""

    def __init__(self, row: Row) -> None:
        self._row, self.training = row, load_configuration("total", (*BASE, *row.changes))
        self.network = make_network(self.training)
        names = self.training.schema.names
        self._seen = torch.tensor([not any(part in name for part in row.hidden) for name in names], dtype=torch.float32)

    def __call__(self, features: Tensor, coordinates: Tensor, neighbours: Tensor) -> Tensor:
        """Return weights, (N,)."""
        k = self.training.network.links.width
        with torch.autocast("cpu", torch.bfloat16):
            weights: Tensor = self.network(features * self._seen, coordinates, neighbours[:, :k])
        return weights.float()

    def train(self, batches: list[Batch], say: Callable[[str], object]) -> float:
        """Train with the configuration's objective and optimiser, and return the mean loss of the last quarter."""
        t, objective = self.training, Sum.of(self.training.objective)
        optimiser = torch.optim.Adam(self.network.parameters(), t.optimiser.rate)
        steps = PASSES * len(batches)
        losses = []
        for step in range(steps):
            batch = batches[step % len(batches)]
            for group in optimiser.param_groups:
                group["lr"] = t.optimiser.rate * share(t.optimiser, step, steps)
            weights = self(batch.inputs.features, batch.inputs.coordinates, batch.inputs.neighbours)
            loss, _ = objective(weights, batch, torch.Generator().manual_seed(step))
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), t.optimiser.clip)
            optimiser.step()
            losses.append(float(loss.detach()))
            if (step + 1) % 64 == 0:
                say(f"{self._row.name}: step {step + 1} of {steps}, loss {np.mean(losses[-64:]):.4g}")
        return float(np.mean(losses[-steps // 4 :]))

    def weights(self, events: Events) -> ak.Array:
        """Return weights of crossings with pileup."""
        weights = weigh(self, events, self.training.schema, Nearest(k=K))
        if not self._row.settled:
            return weights
        c = events.candidates
        by_vertex = ak.values_astype(c.vertex == LEADING, np.float32)
        return ak.where((c.charge != 0) & (c.vertex >= LEADING), by_vertex, weights)


class Crossed:
    """The crossings of the rows, made once for each kind of data."""

    def __init__(self) -> None:
        self._data: Crossings | None = None
        self._batches: list[Batch] = []

    def of(self, training: Training) -> list[Batch]:
        """Return batches with the features of `total` and `K` neighbours."""
        if self._data != training.data:
            missing = (training.missing.field, training.missing.everything)
            stream = CrossingBatches(training.data, AT_ONCE, Nearest(k=K), missing, training.seed, training.schema)
            self._data, self._batches = training.data, []
            for number in range(CROSSINGS // AT_ONCE):
                self._batches.append(stream[number])
        return self._batches


def table(numbers: dict[str, Any]) -> list[str]:
    """Return the table of the page."""
    heads = [f"{name}: gap | against base" for name in QUANTITIES.values()]
    lines = [f"| one change | {' | '.join(heads)} | median of central jets |", "|---|" + "---:|" * (2 * len(heads) + 1)]
    for row in ROWS:
        if row.name not in numbers:
            continue
        values = numbers[row.name]
        written = [f"{row.name}"]
        for quantity in QUANTITIES:
            gap, change = values["gap"][quantity], values["change"].get(quantity)
            written.append(f"{gap['value']:.2f} ± {gap['error']:.2f}")
            written.append(f"{change['value']:+.2f} ± {change['error']:.2f}" if change and change["error"] else "–")
        written.append(f"{values['median']['value']:+.3f} ± {values['median']['error']:.3f}")
        lines.append("| " + " | ".join(written) + " |")
    return lines


def main() -> None:
    """Train and measure the rows that are not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--rows", nargs="+", help="parts of the names of the rows to do")
    parser.add_argument("--kept", type=Path, default=Path("demo_output/ablation"), help="where observations are kept")
    parser.add_argument("-n", type=int, default=200)
    given = parser.parse_args()
    hs.set_threads(1)
    torch.set_num_threads(1)
    given.kept.mkdir(parents=True, exist_ok=True)
    numbers = json.loads(given.output.read_text(encoding="utf-8")) if given.output.exists() else {}
    events = tuning_sample(given.n)
    crossed = Crossed()
    base = given.kept / "0.pkl"
    order = sorted(ROWS, key=lambda row: (row != ROWS[0], "pairs" in row.name))  # crossings are made three times only
    for row in order:
        if row.name in numbers or (given.rows and not any(part in row.name for part in given.rows)):
            continue
        started = time.perf_counter()
        network = Network(row)
        loss = network.train(crossed.of(network.training), lambda line: print(line, flush=True))
        seen: dict[str, Observations] = observe_all(events, {row.name: hs.mitigate(events, network)})
        (given.kept / f"{ROWS.index(row)}.pkl").write_bytes(pickle.dumps(seen[row.name]))
        with_base = {**seen, "base": pickle.loads(base.read_bytes())}
        estimates = summarise(with_base).estimates[row.name]
        change = differences(with_base, "base")[row.name] if row != ROWS[0] else {}
        numbers[row.name] = {
            "changes": row.changes,
            "hidden": row.hidden,
            "loss": loss,
            "gap": {quantity: asdict(estimates[quantity]["gap"]) for quantity in QUANTITIES},
            "change": {quantity: asdict(change[quantity]) for quantity in QUANTITIES if quantity in change},
            "median": asdict(estimates["ak4_central.pt"]["median"]),
            "crossings": CROSSINGS,
            "passes": PASSES,
            "events": given.n,
            "seconds": time.perf_counter() - started,
        }
        given.output.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
        print("\n".join(table({row.name: numbers[row.name]})[2:]), flush=True)
    if given.page:
        put(given.page, "ablation", table(numbers))


if __name__ == "__main__":
    main()
