"""Dense layers over blocks of rows that stay in the nearest cache: products of small matrices, and what follows them.

Numba's loops reach a quarter of what a core can multiply: sums travel through memory. So the innermost piece, a *tile*
of rows and columns whose sums stay in registers, is written in LLVM's vector instructions, which are the same for
every machine; only the tile's width depends on how many numbers the registers hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped, unused-ignore]
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from hardscatter.compiled import quick_kernel

LANES = 16
"""Columns of a matrix are a multiple of this."""
TALL = 6
"""Rows of a tile."""
_INSTRUCTIONS = config.CPU_FEATURES or binding.get_host_cpu_features().flatten()
WIDE = 4 * LANES if "+avx512f" in _INSTRUCTIONS else LANES
"""Columns of a tile: six rows of them, one row of the matrix and one number more fill the registers."""

IDENTITY, RELU, LEAKY_RELU, GELU = range(4)
"""What follows a layer."""

_SLOPE = np.float32(0.01)  # of LeakyReLU
_NONE, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_A = tuple(
    map(np.float32, (1.0, 9.97324958e-2, 4.4788789e-2, 8.59166868e-3, 9.80608864e-4, 1.11392743e-4, 9.75642397e-5,
                     -1.67432663e-5, 2.93214612e-6))
)  # fmt: skip
_BEYOND = np.float32(9)  # where t Φ(−t) is nothing
_T = tuple(np.float32(1 / math.factorial(i)) for i in range(8))
_L = tuple(np.float32(2 / (2 * i + 1)) for i in range(5))
_LEAST = np.float32(-40)  # little beside 1, and far from the numbers so small that they are slow
_DOUBLING, _PER_DOUBLING = np.float32(math.log(2)), np.float32(1 / math.log(2))
_ROOT_HALF = int(np.float32(math.sqrt(0.5)).view(np.int32))


def padded(width: int) -> int:
    """Return a number of columns, rounded up to whole vectors."""
    return -(-width // LANES) * LANES


def aligned(*shape: int) -> NDArray[np.float32]:
    """Return an array of float32, not filled, whose first number lies where a cache line begins."""
    size = math.prod(shape)
    room = np.empty(size + LANES, dtype=np.float32)
    start = -(room.ctypes.data // room.itemsize) % LANES
    return room[start : start + size].reshape(shape)


def _tile(rows: int, columns: int) -> Callable[..., None]:
    """Return a compiled out[r, c] = base[c] + Σ_d x[r, d] m[d, c] for so many rows and columns, and any depth above 0.

    Arrays are in float32; after each comes the place where it starts, and where it has rows how far they are apart.
    """

    def tile(
        _context: Any, x: Any, x_start: Any, x_row: Any, m: Any, m_start: Any, m_row: Any, base: Any, base_start: Any,
        out: Any, out_start: Any, out_row: Any, depth: Any,
    ) -> Any:  # fmt: skip
        given = (x, x_start, x_row, m, m_start, m_row, base, base_start, out, out_start, out_row, depth)

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, m, base, out = (_pointer(context, builder, signature, values, i) for i in (0, 3, 6, 8))
            _loop(builder, rows, columns, x, m, base, out, values[2], values[5], values[10], values[11])
            return context.get_dummy_value()

        return types.void(*given), generate

    compiled: Callable[..., None] = intrinsic(tile)
    return compiled


def _gathering_tile(columns: int) -> Callable[..., None]:
    """Return the same for one row, with m[index[d], c] instead of m[d, c]; x and index are steps apart from d to d."""

    def tile(
        _context: Any, x: Any, x_start: Any, x_step: Any, m: Any, m_start: Any, m_row: Any, base: Any, base_start: Any,
        out: Any, out_start: Any, index: Any, index_start: Any, index_step: Any, depth: Any,
    ) -> Any:  # fmt: skip
        given = (
            x, x_start, x_step, m, m_start, m_row, base, base_start, out, out_start, index, index_start, index_step,
            depth,
        )  # fmt: skip

        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            x, m, base, out, index = (_pointer(context, builder, signature, values, i) for i in (0, 3, 6, 8, 10))
            none = ir.Constant(values[13].type, 0)
            _loop(builder, 1, columns, x, m, base, out, none, values[5], none, values[13], values[2], index, values[12])
            return context.get_dummy_value()

        return types.void(*given), generate

    compiled: Callable[..., None] = intrinsic(tile)
    return compiled


def _pointer(context: Any, builder: Any, signature: Any, values: Any, i: int) -> Any:
    """Return where the array that is argument i starts, at the place that is the next one."""
    array = cgutils.create_struct_proxy(signature.args[i])(context, builder, values[i])
    return builder.gep(array.data, [values[i + 1]])


def _loop(
    builder: Any, rows: int, columns: int, x: Any, m: Any, base: Any, out: Any, x_row: Any, m_row: Any, out_row: Any,
    depth: Any, x_step: Any = None, index: Any = None, index_step: Any = None,
) -> None:  # fmt: skip
    """Generate a tile's loop over d: sums are added up in registers and stored at its end."""
    vector = ir.VectorType(ir.FloatType(), LANES)
    parts = range(columns // LANES)

    def number(i: int) -> Any:
        return ir.Constant(depth.type, i)

    def times(d: Any, stride: Any) -> Any:
        return d if stride is None else builder.mul(d, stride)

    def vectors(start: Any) -> list[Any]:
        return [builder.bitcast(builder.gep(start, [number(part * LANES)]), vector.as_pointer()) for part in parts]

    def everywhere(value: Any) -> Any:
        undefined = ir.Constant(vector, ir.Undefined)
        alone = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(alone, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))

    begin = [builder.load(at, align=4) for at in vectors(base)]
    before, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
    builder.branch(loop)
    builder.position_at_end(loop)
    d = builder.phi(depth.type)
    sums = [[builder.phi(vector) for _ in parts] for _ in range(rows)]
    row = d if index is None else builder.load(builder.gep(index, [times(d, index_step)]))
    terms = [builder.load(at, align=4) for at in vectors(builder.gep(m, [builder.mul(row, m_row)]))]
    for r in range(rows):
        place = builder.add(builder.mul(x_row, number(r)), times(d, x_step))
        factor = everywhere(builder.load(builder.gep(x, [place])))
        for part in parts:
            product = builder.fmul(factor, terms[part], flags=("fast",))
            following = builder.fadd(product, sums[r][part], flags=("fast",))
            sums[r][part].add_incoming(begin[part], before)
            sums[r][part].add_incoming(following, loop)
            sums[r][part] = following
    following = builder.add(d, number(1))
    d.add_incoming(number(0), before)
    d.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)
    builder.position_at_end(after)
    for r in range(rows):
        for part, at in zip(parts, vectors(builder.gep(out, [builder.mul(out_row, number(r))])), strict=True):
            builder.store(sums[r][part], at, align=4)


_tall_and_wide = _tile(TALL, WIDE)
_wide = _tile(1, WIDE)
_tall = _tile(TALL, LANES)
_single = _tile(1, LANES)
_gathering_wide = _gathering_tile(WIDE)
_gathering = _gathering_tile(LANES)


@quick_kernel
def dense(x: Any, start: int, layer: Any, numbers: Any, out: Any, begin: int, rows: int) -> None:
    """Write one layer's values of so many rows, activation included.

    x and out are flat, their rows without gaps; those of x from `start` on give those of out from `begin` on. `layer`
    is the place of bias and matrix among the numbers, depth, width, a multiple of `LANES`, and activation.
    """
    place, depth, width, activation = layer
    column = 0
    while column < width:
        wide = width - column >= WIDE
        base, matrix = place + column, place + width + column
        row = 0
        while row < rows:
            tall = rows - row >= TALL
            here, there = (start + row) * depth, (begin + row) * width + column
            if wide and tall:
                _tall_and_wide(x, here, depth, numbers, matrix, width, numbers, base, out, there, width, depth)
            elif wide:
                _wide(x, here, depth, numbers, matrix, width, numbers, base, out, there, width, depth)
            elif tall:
                _tall(x, here, depth, numbers, matrix, width, numbers, base, out, there, width, depth)
            else:
                _single(x, here, depth, numbers, matrix, width, numbers, base, out, there, width, depth)
            row += TALL if tall else 1
        column += WIDE if wide else LANES
    _activate(activation, out[begin * width : (begin + rows) * width])


@quick_kernel
def _activate(kind: int, values: Any) -> None:
    if kind == RELU:
        for i in range(len(values)):
            values[i] = max(values[i], _NONE)
    elif kind == LEAKY_RELU:
        for i in range(len(values)):
            values[i] = max(values[i], _SLOPE * values[i])
    elif kind == GELU:
        for i in range(len(values)):
            values[i] = gelu(values[i])


@quick_kernel
def gathered_sum(
    factors: Any, at: int, step: int, index: Any, first: int, stride: int, k: int, values: Any, width: int, begin: int,
    out: Any, there: int,
) -> None:  # fmt: skip
    """Write out[c] = values[begin + c] + Σ_j factors[j] values[index[j] width + c] to the places from `there` on.

    Factors start at `at` and are `step` apart; indices start at `first` and are `stride` apart.
    """
    column = 0
    while column < width:
        base, place = begin + column, there + column
        wide = width - column >= WIDE
        if wide:
            _gathering_wide(
                factors, at, step, values, column, width, values, base, out, place, index, first, stride, k
            )  # fmt: skip
        else:
            _gathering(factors, at, step, values, column, width, values, base, out, place, index, first, stride, k)
        column += WIDE if wide else LANES


@quick_kernel
def gelu(x: Any) -> Any:
    """Return x Φ(x) = max(x, 0) − |x| Φ(−|x|), Φ the normal distribution's integral, within 5 · 10⁻⁸ and rounding.

    Φ(−t) = ½ (1 + a₁ t + … + a₈ t⁸)⁻⁸, the form of Abramowitz and Stegun 7.1.28, with coefficients that make the
    largest error of t Φ(−t) smallest.
    """
    t = min(abs(x), _BEYOND)
    power = _A[0] + t * (
        _A[1] + t * (_A[2] + t * (_A[3] + t * (_A[4] + t * (_A[5] + t * (_A[6] + t * (_A[7] + t * _A[8]))))))
    )
    power *= power
    power *= power
    return max(x, _NONE) - np.divide(_HALF * t, power * power)


@quick_kernel
def exponential(x: Any) -> Any:
    """Return exp(x) for x from −40 to 88, e⁻⁴⁰ below: Taylor's series between −ln 2 / 2 and ln 2 / 2, times 2ⁿ."""
    x = max(x, _LEAST)
    doublings = np.rint(x * _PER_DOUBLING)
    r = x - doublings * _DOUBLING
    series = _ONE + r * (_ONE + r * (_T[2] + r * (_T[3] + r * (_T[4] + r * (_T[5] + r * (_T[6] + r * _T[7]))))))
    return series * np.int32((np.int32(doublings) + 127) << 23).view(np.float32)


@quick_kernel
def logarithm(x: Any) -> Any:
    """Return ln x for x > 0 that is not subnormal: x = 2ⁿ m with m between √½ and √2, ln m = 2 artanh((m−1)/(m+1))."""
    bits = np.int32(np.float32(x).view(np.int32) - _ROOT_HALF)
    doublings = np.int32(bits >> 23)
    m = np.int32((bits & 0x7FFFFF) + _ROOT_HALF).view(np.float32)
    z = np.divide(m - _ONE, m + _ONE)
    square = z * z
    series = _L[0] + square * (_L[1] + square * (_L[2] + square * (_L[3] + square * _L[4])))
    return np.float32(doublings) * _DOUBLING + z * series
