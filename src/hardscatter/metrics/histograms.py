"""The results of studies as histograms of scikit-hep's hist, to plot, add up or fit with one's own tools."""

from __future__ import annotations

from typing import Any

import hist
import numpy as np

from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Distribution, Numbers, Profile, Study

Histogram = hist.Hist[hist.storage.Weight]


def histograms(study: Study) -> dict[str, Histogram]:
    """Return every result of a study as a histogram.

    Storage is ``Weight()``: value and variance of a bin are those of the study's number in it, variance = error²; NaN
    where there is nothing to tell. The first axis is a category, the method (or what else the rows of a table are).

    Returns
    -------
    dict
        By the name of the result. A distribution has the axes ``method`` and its quantity and holds shares of all
        entries: what lies outside the edges is in no bin. A profile gives one histogram a statistic, ``<result>.
        <statistic>``, of ``method`` and its variable; a table one of its rows and columns, for cells that exist.
    """
    found: dict[str, Histogram] = {}
    for result in study.results:
        if isinstance(result, Distribution):
            found[result.name] = _binned(result.quantity, result.edges, result.shares, result.title)
        elif isinstance(result, Profile):
            for statistic, by_method in result.statistics.items():
                name = f"{result.name}.{statistic}"
                found[name] = _binned(result.variable, result.edges, by_method, result.headings.get(statistic, name))
        else:
            found[result.name] = _table(result)
    return found


def _binned(quantity: str, edges: tuple[float, ...], numbers: dict[str, tuple[Estimate, ...]], label: str) -> Histogram:
    methods = hist.axis.StrCategory(list(numbers), name="method", overflow=False)
    bins = hist.axis.Variable(list(edges), name="quantity", label=quantity, flow=False)
    cells = [[(one.value, one.error**2) for one in row] for row in numbers.values()]
    return _filled([methods, bins], cells, label)


def _table(result: Numbers) -> Histogram:
    rows = hist.axis.StrCategory(list(result.rows), name=result.of, overflow=False)
    columns = hist.axis.StrCategory(list(result.headings), name="column", overflow=False)
    unknown = (np.nan, np.nan)
    cells = [
        [(row[name].value, row[name].error ** 2) if name in row else unknown for name in result.headings]
        for row in result.rows.values()
    ]
    return _filled([rows, columns], cells, result.title)


def _filled(axes: list[Any], cells: list[list[tuple[float, float]]], label: str) -> Histogram:
    made: Histogram = hist.Hist(*axes, storage=hist.storage.Weight(), label=label)
    values = np.array(cells, dtype=np.float64).reshape(*(len(axis) for axis in made.axes), 2)
    view: Any = made.view()
    view["value"], view["variance"] = values[..., 0], values[..., 1]
    return made
