"""Operations and bytes of `total` on a device, counted from the sizes of its tensors, and what a GPU's limits allow.

`python -m benchmarks.counted` runs the code of `hardscatter.device` on PyTorch's processor, counts, and writes
counted.json: nothing is timed. docs/scale.md quotes it.

Every step reads its inputs from memory and writes its outputs once; of what it picks by index it reads what it picks.
A product of matrices is 2mnk operations, any other step one for each number that it writes. Caches can make it less,
sorting more. A step takes as long as the slowest of three: its bytes, its operations, the start of a kernel.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.crossings import crossings, repeated
from hardscatter.device.features import Batch, Crossings
from hardscatter.device.weights import network_on
from hardscatter.pileup.learned import load

HERE = Path(__file__).parent
MODEL = "total"
BATCHES = (1, 4, 16, 64)
H100 = {"operations a second": 67e12, "bytes a second": 3.35e12, "seconds a start": 5e-6}
"""What the maker says of an H100 SXM: single precision outside the matrix units; a start as is usual."""
STEPS: dict[str, Callable[[Batch, Any, Any], object]] = {
    "neighbours": lambda batch, _, card: batch.links(card.links),
    "features": lambda batch, _, card: (batch.features(card.schema), batch.coordinates),
    "network": lambda batch, net, card: net(batch.features(card.schema), batch.coordinates, batch.links(card.links)),
}
"""The parts of weighing a batch; each needs what those before it made."""

_PICKED = {"index_select", "index", "gather", "embedding", "_embedding_bag", "_embedding_bag_forward_only"}
_PUT = {"index_put", "index_put_", "scatter_", "scatter_add_", "_index_put_impl_"}
_OVERWRITTEN = {"copy_", "fill_", "zero_"}
_NOTHING = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "_local_scalar_dense", "detach",
            "_unsafe_view"}  # fmt: skip


@dataclass
class Count:
    """What was counted."""

    bytes: int = 0
    products: int = 0
    """Operations in products of matrices."""
    others: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Least time at the limits of an H100."""

    def add(self, size: int, products: int, others: int) -> None:
        """Add a step."""
        self.bytes, self.products, self.others = self.bytes + size, self.products + products, self.others + others
        self.steps += 1
        self.seconds += max(
            size / H100["bytes a second"], (products + others) / H100["operations a second"], H100["seconds a start"]
        )


class Counting(TorchDispatchMode):
    """Counts all that PyTorch does within it."""

    def __init__(self) -> None:
        super().__init__()
        self.count = Count()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a step and count it."""
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        if name in _NOTHING or func.is_view:
            return out
        read = {key: value for key, value in (kwargs or {}).items() if key != "out"}
        given, made = _tensors((args, read)), _tensors(out)
        size = sum(map(_size, made))
        if name in _PUT:
            given, size = given[1:], _size(given[-1])
        elif name in _PICKED:
            # An embedding bag writes less than it picks.
            size += given[1].numel() * given[0][0].nbytes if "bag" in name else size
            given = given[1:]
        elif name in _OVERWRITTEN:
            given = given[1:]
        products = _products(name, given, made)
        numbers = given[-1].numel() if name in _PUT else sum(tensor.numel() for tensor in made)
        self.count.add(size + sum(map(_size, given)), products, 0 if products else numbers)
        return out


def counted(batch: Batch, network: Any, card: Any) -> dict[str, Count]:
    """Return the counts of the parts of weighing a batch."""
    found = {}
    # Without gradients, and not in inference mode: there a step made of several would come as one.
    with torch.no_grad(), patch("hardscatter.nets.gather._compiled_loops_serve", lambda _: False):
        for name, step in STEPS.items():
            with Counting() as counting:
                step(batch, network, card)
            found[name] = counting.count
    return found


def main() -> None:
    """Count and write down."""
    device, network = torch.device("cpu"), load(MODEL)
    document: dict[str, Any] = {"model": MODEL, "limits": H100, "batches": []}
    for n in BATCHES:
        whole = Crossings(repeated(crossings(), n), [network.card.schema])
        batch = whole.batch(0, n, device)
        found = counted(batch, network_on(network, device), network.card)
        document["batches"].append({
            "crossings": n, "candidates a crossing": len(batch) / n,
            "bytes to the device a crossing": sum(column.nbytes for column in whole.columns.values()) / n,
            "crossings a second": n / sum(one.seconds for one in found.values()),
            "parts": {name: asdict(one) for name, one in found.items()},
        })  # fmt: skip
        print(json.dumps(document["batches"][-1]), flush=True)
    (HERE / "counted.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def _size(tensor: Tensor) -> int:
    """Return the bytes that a tensor has in memory, repeated rows once."""
    return tensor.element_size() * math.prod(
        n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or n == 0
    )


def _products(name: str, given: list[Tensor], made: list[Tensor]) -> int:
    """Return the operations of a product of matrices, 0 for anything else."""
    left = {"mm": 0, "mv": 0, "bmm": 0, "addmm": 1}.get(name)
    return 0 if left is None else 2 * made[0].numel() * given[left].shape[-1]


if __name__ == "__main__":
    main()
