"""Runs graph attention networks (`hardscatter.nets.abcnet`) on a processor, as fast as it multiplies matrices.

The parameters come from the exported model, the sums are those of its graph in another order. Candidates are treated
in blocks that lie near each other in (η, φ): a block goes through all layers up to the next look at neighbours while
it stays in the nearest cache, and the neighbours' states have just been there. What is linear is multiplied out
beforehand, in double precision:

- the encoder's layers without activation between them are one matrix,
- GAP's sum is (V, G) · (x_i Σ_j α_ij − Σ_j α_ij x_j, Σ_j α_ij e_ij): V meets the sum, not each neighbour,
- its coefficients need two numbers of a candidate besides the edges: b·V x_j, and a·LayerNorm(W x_i), where the mean
  over the channels is taken out of W, so that only the length of W x_i is left to be found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import quick_kernel
from hardscatter.geometry import NO_NEIGHBOUR
from hardscatter.pileup.dense import (
    GELU,
    IDENTITY,
    LEAKY_RELU,
    RELU,
    aligned,
    dense,
    exponential,
    gathered_sum,
    logarithm,
    padded,
)

_ROWS = 48
"""Candidates of a block: what they need lies in the two nearest caches."""
_N_EDGES = 4
_DISTANCE, _ETA, _PHI, _RATIO, _SHARE, _THERE = (place * _ROWS for place in range(6))
"""Places of a block's numbers for one neighbour each; the first four are the edges."""
_EPSILON = np.float32(1e-5)  # of LayerNorm
_ATTENTION_SLOPE = np.float32(0.2)  # of LeakyReLU in the attention coefficients
_CLOSEST = np.float32(0.01**2)  # ΔR², in the logarithm of an edge
_TURN = np.float32(2 * math.pi)
_FARTHEST = np.float32(80)  # where the logistic function is 0 or 1
_LOWEST, _TINY = np.float32(-1e30), np.float32(1e-30)
_NONE, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)

_Floats = NDArray[np.float32]
_Exact = NDArray[np.float64]


@dataclass(frozen=True)
class Attention:
    """An attention network ready to run; `attention` makes it."""

    n_features: int
    width: int
    """Channels of the state."""
    layers: NDArray[np.int64]
    """Place among the numbers, depth, width filled up to whole vectors, and activation of every layer in their order,
    (layers, 4): the encoder; for each block GAP's sum, the coefficients, the dense layers; the head and the output."""
    parts: NDArray[np.int64]
    """First layer of every block and of the head, and place of its norm's scale and shift and of a block's edge
    coefficients, (blocks + 1, 2)."""
    numbers: _Floats
    """All parameters."""

    def weights(self, features: _Floats, coordinates: _Floats, neighbours: NDArray[np.int64]) -> _Floats:
        """Return the weights of all candidates, shape (N,), from the inputs that `hardscatter.nets.export` names.

        Raises
        ------
        ValueError
            If the inputs do not fit each other or the network.
        """
        n, stride = len(features), int(self.layers[0, 2])
        if features.shape[1] != self.n_features or len(coordinates) != n or len(neighbours) != n:
            raise ValueError("features, coordinates and neighbours do not fit")
        if neighbours.max(initial=-1) >= n:
            raise ValueError("a neighbour does not exist")
        order = _near_each_other(coordinates)
        states, room = aligned(3, n * stride), aligned(2, _ROWS * int(self.layers[:, 1:3].max()))
        weights = np.empty(n, dtype=np.float32)
        # A kernel for arrays that cannot be written would be another one: all have one form, most without a copy.
        matrix, places = np.require(features, np.float32, ["C", "W"]), np.require(coordinates[order], np.float32)
        links = _renamed(np.require(neighbours, np.int64, ["C", "W"]), order)
        _forward(
            matrix, places, links, order, self.layers, self.parts, self.numbers, self.width, states, room, weights
        )  # fmt: skip
        return weights


def attention(settings: Mapping[str, Any], n_features: int, parameters: Mapping[str, NDArray[Any]]) -> Attention | None:
    """Return the network of a model's settings and parameters, or None if these are not of a kind that runs here.

    Parameters
    ----------
    settings
        Those of `hardscatter.nets.abcnet.AttentionSettings`, as the model's file says them.
    n_features
        Columns of the feature matrix.
    parameters
        By the names that torch gives them.
    """
    if settings.get("kind", "attention") != "attention" or settings.get("first_hop") != "state":
        return None
    try:
        return _Plan(settings, n_features, parameters).network()
    except (KeyError, ValueError, TypeError):  # something is missing or has another shape
        return None


class _Plan:
    """Puts parameters into the order in which they are used."""

    def __init__(self, settings: Mapping[str, Any], n_features: int, parameters: Mapping[str, NDArray[Any]]) -> None:
        self.settings, self.n_features = settings, n_features
        self.parameters = {name: np.asarray(value, dtype=np.float64) for name, value in parameters.items()}
        self.width = int(settings["encoder"][-1])
        self.layers: list[tuple[int, int, int, int]] = []
        self.numbers: list[_Exact] = []

    def network(self) -> Attention:
        parts = []
        self.encoder()
        for number in range(int(self.settings["blocks"])):
            parts.append((len(self.layers), self.gap(f"blocks.{number}")))
            names = [f"blocks.{number}.dense.{2 * i}" for i in range(len(self.settings["dense"]) + 1)]
            if self.dense(names, GELU) != self.width:
                raise ValueError("a block does not return to the width of the state")
        parts.append((len(self.layers), self.keep(*self.norm("norm"))))
        width = self.dense([f"head.{2 * i}" for i in range(len(self.settings["head"]))], LEAKY_RELU)
        self.layer(*self.linear("output", width), IDENTITY)
        layers, places = (np.array(given, dtype=np.int64) for given in (self.layers, parts))
        numbers = aligned(sum(map(len, self.numbers)))
        np.concatenate(self.numbers, out=numbers, casting="same_kind")
        return Attention(self.n_features, self.width, layers, places, numbers)

    def encoder(self) -> None:
        matrix, bias = np.eye(self.n_features), np.zeros(self.n_features)
        for i in range(len(self.settings["encoder"])):
            following, shift = self.linear(f"encoder.{i}", len(bias))
            matrix, bias = matrix @ following, bias @ following + shift
        if len(bias) != self.width:
            raise ValueError("the encoder does not end in the width of the state")
        self.layer(matrix, bias, LEAKY_RELU, depth=self.n_features)

    def gap(self, block: str) -> int:
        """Add GAP's two layers, for its sum and for its coefficients; return the place of the block's other numbers."""
        name, width = f"{block}.attention", self.width
        difference, node = (self.linear(f"{name}.{part}", width)[0] for part in ("difference", "node"))
        edge, _ = self.linear(f"{name}.edge", _N_EDGES)
        attention, _ = self.linear(f"{name}.edge_attention", width)
        a, beta = self.linear(f"{name}.self_attention", width)
        gamma, delta = self.norm(f"{name}.norm")
        filler = np.zeros((padded(width) - width, width))
        summed = np.concatenate([difference, filler, edge])
        self.layer(summed, np.zeros(width), RELU, depth=len(summed))
        node = node - node.mean(axis=1, keepdims=True)
        looks = np.concatenate([node, filler.T, difference @ attention, node @ (gamma[:, None] * a)], axis=1)
        self.layer(looks, np.zeros(looks.shape[1]), IDENTITY)
        return self.keep(*self.norm(f"{block}.norm"), (edge @ attention)[:, 0], delta @ a + beta)

    def dense(self, names: Sequence[str], activation: int) -> int:
        """Add layers that follow a state or one another; return the width of the last."""
        width = self.width
        for name in names:
            matrix, bias = self.linear(name, width)
            self.layer(matrix, bias, activation)
            width = len(bias)
        return width

    def linear(self, name: str, depth: int) -> tuple[_Exact, _Exact]:
        """Return the matrix of a layer, (depth, width), and its bias."""
        matrix = self.parameters[f"{name}.weight"].T
        bias = self.parameters.get(f"{name}.bias", np.zeros(matrix.shape[1]))
        if matrix.shape != (depth, len(bias)):
            raise ValueError(f"{name} has another shape")
        return matrix, bias

    def norm(self, name: str) -> tuple[_Exact, _Exact]:
        scale, shift = self.parameters[f"{name}.weight"], self.parameters[f"{name}.bias"]
        if not len(scale) == len(shift) == self.width:
            raise ValueError(f"{name} has another shape")
        return scale, shift

    def layer(self, matrix: _Exact, bias: _Exact, activation: int, depth: int | None = None) -> None:
        """Add a layer; its columns, and its rows if no depth is given, are filled up with zeros to whole vectors."""
        depth, width = depth or padded(len(matrix)), padded(len(bias))
        whole = np.zeros((1 + depth, width))
        whole[0, : len(bias)] = bias
        whole[1 : 1 + len(matrix), : len(bias)] = matrix
        self.layers.append((self.keep(whole.ravel()), depth, width, activation))

    def keep(self, *numbers: _Exact) -> int:
        """Add numbers, filled up to whole vectors, and return the place of the first."""
        place = sum(map(len, self.numbers))
        together = np.concatenate(numbers)
        self.numbers.append(np.pad(together, (0, padded(len(together)) - len(together))))
        return place


def _near_each_other(coordinates: _Floats) -> NDArray[np.intp]:
    """Return the candidates in an order in which those near in (η, φ) are near: along φ in strips of 0.4 in η."""
    strip, along = (
        np.clip(coordinates[:, axis] * np.float32(per_unit), -127, 127).astype(np.int16)
        for axis, per_unit in ((0, 2.5), (1, 40))
    )
    return np.argsort(strip * np.int16(256) + along, kind="stable")


@quick_kernel
def _renamed(neighbours: Any, order: Any) -> Any:
    """Return the neighbours of the candidates in their new order, by their new numbers."""
    n, k = neighbours.shape
    place, renamed = np.empty(n, dtype=np.int32), np.empty((n, k), dtype=np.int32)
    for i in range(n):
        place[order[i]] = i
    for i in range(n):
        for j in range(k):
            other = neighbours[order[i], j]
            renamed[i, j] = place[other] if other >= 0 else NO_NEIGHBOUR
    return renamed


@quick_kernel
def _forward(
    features: Any, coordinates: Any, links: Any, order: Any, layers: Any, parts: Any, numbers: Any, width: int,
    states: Any, room: Any, weights: Any,
) -> None:  # fmt: skip
    """Write the weights: through all candidates once, and once more for each look at the neighbours.

    All but features and weights are in the new order. `states` has room for the first states of all candidates, for
    those that are looked at and for those that are being made; `room` for two layers of a block.
    """
    n, k = links.shape
    hops = len(parts) - 1
    looks, pooled = np.empty((2, 2, n), dtype=np.float32), np.empty((_N_EDGES + 1, _ROWS), dtype=np.float32)
    pairs, index = np.zeros((k, 6 * _ROWS), dtype=np.float32), np.zeros((k, _ROWS), dtype=np.int64)
    for hop in range(hops + 1):
        first, old, new = states[0], states[1 + hop % 2], states[2 - hop % 2]
        layer, place = parts[hop]
        for start in range(0, n, _ROWS):
            rows, x, y = min(_ROWS, n - start), room[0], room[1]
            if hop == 0:
                _take(features, order[start : start + rows], y)
                dense(y, 0, layers[0], numbers, first, start, rows)
                _normalise(first, start, layers[0, 2], rows, numbers, place, width, new, start)
            else:
                before, its_place = parts[hop - 1]
                _pairs(start, rows, coordinates, links, looks[hop % 2, 0], pairs, index)
                _attend(looks[hop % 2, 1, start : start + rows], numbers[its_place + 2 * width :], pairs, pooled)
                _pool(start, rows, layers[before], numbers, old, pairs, index, pooled, x, y)
                for number in range(before + 2, layer):
                    dense(x, 0, layers[number], numbers, y, 0, rows)
                    x, y = y, x
                _normalise(x, 0, layers[0, 2], rows, numbers, place, width, new, start)
            if hop < hops:
                _look(
                    start, rows, layers[layer + 1], numbers, place + 2 * width, width, new, x, looks[1 - hop % 2]
                )  # fmt: skip
            else:
                _judge(start, order[start : start + rows], layers[layer:], numbers, first, new, x, y, weights)


@quick_kernel
def _take(values: Any, rows: Any, out: Any) -> None:
    """Write some rows of a matrix, one after another."""
    width = values.shape[1]
    for r in range(len(rows)):
        source = values[rows[r]]
        for c in range(width):
            out[r * width + c] = source[c]


@quick_kernel
def _normalise(
    x: Any, begin: int, stride: int, rows: int, numbers: Any, place: int, width: int, out: Any, start: int
) -> None:
    """Write LayerNorm of some rows of x, from row `begin` on, to those of `out` from row `start` on."""
    scales, shifts = numbers[place : place + width], numbers[place + width : place + 2 * width]
    for r in range(rows):
        source, target = (begin + r) * stride, (start + r) * stride
        _normalise_row(x[source : source + width], scales, shifts, out[target : target + width])
        out[target + width : target + stride] = _NONE


@quick_kernel
def _normalise_row(x: Any, scales: Any, shifts: Any, out: Any) -> None:
    share = np.float32(1 / len(x))
    mean = _NONE
    for c in range(len(x)):
        mean += x[c]
    mean *= share
    square = _NONE
    for c in range(len(x)):
        square += (x[c] - mean) * (x[c] - mean)
    scale = np.divide(_ONE, np.sqrt(square * share + _EPSILON))
    for c in range(len(x)):
        out[c] = (x[c] - mean) * scale * scales[c] + shifts[c]


@quick_kernel
def _look(
    start: int, rows: int, layer: Any, numbers: Any, place: int, width: int, states: Any, x: Any, looks: Any
) -> None:
    """Write what the coefficients need of a state: b·V x_i, and that with all else that is of i alone."""
    stride, wide = layer[1], layer[2]
    share, constant = np.float32(1 / width), numbers[place + _N_EDGES]
    dense(states, start, layer, numbers, x, 0, rows)
    for r in range(rows):
        at = r * wide
        length = np.sqrt(_square(x[at : at + stride]) * share + _EPSILON)
        looks[0, start + r] = x[at + stride]
        looks[1, start + r] = x[at + stride] + np.divide(x[at + stride + 1], length) + constant


@quick_kernel
def _square(x: Any) -> Any:
    total = _NONE
    for c in range(len(x)):
        total += x[c] * x[c]
    return total


@quick_kernel
def _pairs(start: int, rows: int, coordinates: Any, links: Any, looks: Any, pairs: Any, index: Any) -> None:
    """Write Δη, Δφ before it is wrapped, ln pt_j, −b·V x_j and whether j is there, for all pairs of a block."""
    for r in range(rows):
        i = start + r
        eta, phi = coordinates[i, 0], coordinates[i, 1]
        for j in range(len(index)):
            there = links[i, j] >= 0
            other = links[i, j] if there else 0
            index[j, r] = other
            pairs[j, _ETA + r] = coordinates[other, 0] - eta
            pairs[j, _PHI + r] = coordinates[other, 1] - phi
            pairs[j, _RATIO + r] = coordinates[other, 2]
            pairs[j, _SHARE + r] = -looks[other]
            pairs[j, _THERE + r] = _ONE if there else _NONE


@quick_kernel
def _attend(looks: Any, coefficients: Any, pairs: Any, pooled: Any) -> None:
    """Turn −b·V x_j into the neighbours' shares α, times −1, and write Σ_j α_ij e_ij and Σ_j α_ij."""
    alone, total = np.zeros(_ROWS, dtype=np.float32), np.zeros(_ROWS, dtype=np.float32)
    alone[: len(looks)] = looks
    highest = np.full(_ROWS, _LOWEST)
    for j in range(len(pairs)):
        _logits(pairs[j], alone, coefficients, highest)
    for j in range(len(pairs)):
        _exponentials(pairs[j], highest, total)
    for r in range(_ROWS):
        total[r] = np.divide(-_ONE, max(total[r], _TINY))
    pooled[:] = _NONE
    for j in range(len(pairs)):
        _add_up(pairs[j], total, pooled.reshape(-1))


@quick_kernel
def _logits(pair: Any, alone: Any, coefficients: Any, highest: Any) -> None:
    """Wrap Δφ, write ΔR, make ln pt_j ln(pt_j / ΔR) and −b·V x_j the coefficient c_ij."""
    g0, g1, g2, g3 = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    for r in range(_ROWS):
        d_eta, d_phi = pair[_ETA + r], pair[_PHI + r]
        d_phi -= _TURN * np.rint(d_phi / _TURN)
        squared = d_eta * d_eta + d_phi * d_phi
        distance, ratio = np.sqrt(squared), pair[_RATIO + r] - _HALF * logarithm(max(squared, _CLOSEST))
        logit = pair[_SHARE + r] + alone[r] + g0 * distance + g1 * d_eta + g2 * d_phi + g3 * ratio
        logit = max(logit, _ATTENTION_SLOPE * logit)
        logit = logit if pair[_THERE + r] > _NONE else _LOWEST
        pair[_DISTANCE + r], pair[_PHI + r], pair[_RATIO + r], pair[_SHARE + r] = distance, d_phi, ratio, logit
        highest[r] = max(highest[r], logit)


@quick_kernel
def _exponentials(pair: Any, highest: Any, total: Any) -> None:
    for r in range(_ROWS):
        pair[_SHARE + r] = pair[_THERE + r] * exponential(pair[_SHARE + r] - highest[r])
        total[r] += pair[_SHARE + r]


@quick_kernel
def _add_up(pair: Any, factors: Any, pooled: Any) -> None:
    for r in range(_ROWS):
        share = pair[_SHARE + r] * factors[r]
        pair[_SHARE + r] = share
        pooled[r] -= share * pair[_DISTANCE + r]
        pooled[_ROWS + r] -= share * pair[_ETA + r]
        pooled[2 * _ROWS + r] -= share * pair[_PHI + r]
        pooled[3 * _ROWS + r] -= share * pair[_RATIO + r]
        pooled[4 * _ROWS + r] -= share


@quick_kernel
def _pool(
    start: int, rows: int, layer: Any, numbers: Any, states: Any, pairs: Any, index: Any, pooled: Any, x: Any, y: Any
) -> None:
    """Write x_i + ReLU(Σ_j α_ij y'_ij) to x."""
    depth, stride = layer[1], layer[2]
    for r in range(rows):
        if pooled[_N_EDGES, r] > _HALF:
            gathered_sum(
                pairs, _SHARE + r, 6 * _ROWS, index, r, _ROWS, len(index), states, stride, (start + r) * stride, y,
                r * depth,
            )  # fmt: skip
        else:  # nobody there
            y[r * depth : r * depth + stride] = _NONE
        for c in range(_N_EDGES):
            y[r * depth + stride + c] = pooled[c, r]
    dense(y, 0, layer, numbers, x, 0, rows)
    _add(x[: rows * stride], states[start * stride : (start + rows) * stride])


@quick_kernel
def _add(values: Any, more: Any) -> None:
    for i in range(len(values)):
        values[i] += more[i]


@quick_kernel
def _judge(
    start: int, order: Any, layers: Any, numbers: Any, first: Any, states: Any, x: Any, y: Any, weights: Any
) -> None:
    """Write the weights of a block from its last states, normalised."""
    rows, stride = len(order), layers[0, 1]
    block = states[start * stride : (start + rows) * stride]
    _add(block, first[start * stride : (start + rows) * stride])
    dense(states, start, layers[0], numbers, x, 0, rows)
    for number in range(1, len(layers)):
        dense(x, 0, layers[number], numbers, y, 0, rows)
        x, y = y, x
    last = layers[-1, 2]
    for r in range(rows):
        logit = min(max(x[r * last], -_FARTHEST), _FARTHEST)
        weights[order[r]] = np.divide(_ONE, _ONE + exponential(-logit))
