"""What a mitigation method is, where methods are found, and the one way to run one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import awkward as ak
import numpy as np

from hardscatter.checks import checked_fraction
from hardscatter.errors import MissingFieldError, SettingsError, UnknownMethodError, did_you_mean
from hardscatter.events import Events, flat_candidates

ENTRY_POINT_GROUP = "hardscatter.methods"
MODEL_SUFFIX = ".onnx"
CPU = "cpu"
"""The device that needs no PyTorch."""


@runtime_checkable
class Method(Protocol):
    """A mitigation method: frozen settings that turn crossings into weights.

    The docstring of the class names the paper. `weights` gets a whole batch with the truth removed and returns
    a jagged float32 array in [0, 1], aligned with the candidates.
    """

    def weights(self, events: Events) -> ak.Array:
        """Return the weight of every candidate."""
        ...


@dataclass(frozen=True)
class Entry:
    """A method in the catalogue: its id, one line about it, its paper, and where its settings stand."""

    id: str
    summary: str
    paper: str
    place: str

    def make(self) -> Method:
        """Return the method with the settings that its id stands for."""
        module, _, attribute = self.place.partition(":")
        try:
            made = getattr(import_module(module), attribute)
            method = made() if isinstance(made, type) else made
        except Exception as problem:  # whatever a third party's module raises
            reason = str(problem).partition("\n")[0]
            raise UnknownMethodError(f"method '{self.id}' ({self.place}) cannot be loaded: {reason}.") from problem
        if not isinstance(method, Method):
            raise UnknownMethodError(f"method '{self.id}' ({self.place}) has no weights(events): it cannot be used.")
        return method


_CATALOGUE = (
    Entry("none", "every candidate counts in full", "–", "hardscatter.pileup.none:NoMitigation"),
    Entry("chs", "charged candidates of pileup vertices removed", "CMS, arXiv:1706.04965 section 8",
          "hardscatter.pileup.chs:ChargedHadronSubtraction"),
    Entry("puppi", "the same as puppi:cms-phase2", "arXiv:1407.6013; CMS, arXiv:2003.00503",
          "hardscatter.pileup.puppi:CMS_PHASE2"),
    Entry("puppi:cms-phase2", "PUPPI as CMS tuned it for the HL-LHC", "arXiv:1407.6013; CMS, arXiv:2003.00503",
          "hardscatter.pileup.puppi:CMS_PHASE2"),
    Entry("puppi:cms-run3", "PUPPI as CMS runs it in Run 3", "arXiv:1407.6013; CMS, arXiv:2003.00503",
          "hardscatter.pileup.puppi:CMS_RUN3"),
    Entry("puppi:delphes", "PUPPI as the Delphes Phase-2 cards mean it", "arXiv:1407.6013; Delphes, arXiv:1307.6346",
          "hardscatter.pileup.puppi:DELPHES"),
    Entry("puppi-linear", "PUPPI as it fits the CMS Level-1 trigger: one logistic formula", "CMSSW; arXiv:1808.02094",
          "hardscatter.pileup.puppi_linear:PuppiLinear"),
    Entry("puppi:best", "PUPPI tuned for the detector at hand: what every gap is set against",
          "arXiv:1407.6013; docs/tunes.md", "hardscatter.pileup.puppi_best:BestPuppi"),
    Entry("softkiller", "a pt cut that empties half the tiles, on neutrals after CHS", "arXiv:1407.0408",
          "hardscatter.pileup.softkiller:SoftKiller"),
    Entry("softkiller-zeroing", "SoftKiller, then soft neutrals far from the leading vertex's tracks removed",
          "arXiv:1407.0408; Soyez, arXiv:1801.09721", "hardscatter.pileup.softkiller_zeroing:SoftKillerZeroing"),
    Entry("softkiller-zeroing:best", "the same, tuned for our CMS Phase-2 detector",
          "arXiv:1407.0408; docs/tunes.md", "hardscatter.pileup.softkiller_zeroing:SOFTKILLER_ZEROING_BEST"),
    Entry("cs", "ghosts carrying the background subtracted from nearby candidates", "arXiv:1403.3108",
          "hardscatter.pileup.constituent_subtraction:ConstituentSubtraction"),
    Entry("cs:best", "the same, tuned for our CMS Phase-2 detector", "arXiv:1403.3108; docs/tunes.md",
          "hardscatter.pileup.constituent_subtraction:CS_BEST"),
    Entry("ics", "constituent subtraction in two passes", "arXiv:1905.03470",
          "hardscatter.pileup.iterative_constituent_subtraction:IterativeConstituentSubtraction"),
    Entry("ics:best", "the same, tuned for our CMS Phase-2 detector", "arXiv:1905.03470; docs/tunes.md",
          "hardscatter.pileup.iterative_constituent_subtraction:ICS_BEST"),
    Entry("voronoi", "the background on each neutral's Voronoi cell subtracted", "ATLAS-CONF-2017-065",
          "hardscatter.pileup.voronoi:Voronoi"),
    Entry("pumml", "convolutional network on the image of a crossing, trained on the hard fraction",
          "arXiv:1707.08600", "hardscatter.pileup.pumml:Pumml"),
    Entry("puppiml", "gated graph network that refines PUPPI, trained on the hard fraction", "arXiv:1810.07988",
          "hardscatter.pileup.puppiml:PuppiML"),
    Entry("sspuppi", "the same network taught by charged candidates disguised as neutral, no truth",
          "arXiv:2203.15823", "hardscatter.pileup.sspuppi:SemiSupervisedPuppi"),
    Entry("puma", "sparse transformer in k-means order, trained on the hard fraction", "arXiv:2107.02779",
          "hardscatter.pileup.puma:Puma"),
    Entry("supervised", "graph attention network trained on the hard fraction", "ABCNet, arXiv:2001.05311",
          "hardscatter.pileup.learned:SUPERVISED"),
    Entry("total", "graph attention network, local energy flow at many scales, no label: our best",
          "docs/past_total.md", "hardscatter.pileup.learned:TOTAL"),
    Entry("total:paper", "TOTAL as published: graph attention network, sliced Wasserstein loss", "arXiv:2211.02029",
          "hardscatter.pileup.learned:TOTAL_PAPER"),
    Entry("total:student", "small network taught by total, for the first level of a trigger", "docs/trigger.md",
          "hardscatter.pileup.student:Student"),
)  # fmt: skip


_OURS = {entry.id: entry for entry in _CATALOGUE}

_ALIASES = ("puppi:cms-phase2",)
"""The same as another, and so left out of "all"."""


def methods() -> dict[str, Entry]:
    """Return the catalogue: every method by id, ours and those that installed packages add.

    A package adds a method by an entry point of the group ``hardscatter.methods``: its name is the id, its
    value ``module:attribute`` a settings class or instance. It cannot take an id of ours.
    """
    catalogue = dict(_OURS)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        summary = f"from {point.dist.name}" if point.dist else "from an installed package"
        catalogue.setdefault(point.name, Entry(point.name, summary, "see its package", point.value))
    return catalogue


def one_of_each() -> list[str]:
    """Return the ids of our own methods, aliases left out: what "all" means."""
    return [entry.id for entry in _CATALOGUE if entry.id not in _ALIASES]


def get_method(method: str | Method) -> Method:
    """Return a method by its id, or by the path of a trained model, ``….onnx`` (an instance is returned as it is).

    Raises
    ------
    UnknownMethodError
        If no method has this id; the sentence names the nearest and lists those that exist.
    UnreadableFileError
        If the model is not there or cannot be used.
    """
    if not isinstance(method, str):
        if not isinstance(method, Method):
            raise UnknownMethodError(f"{method!r} is no method: give an id or an object with weights(events).")
        return method
    if method.endswith(MODEL_SUFFIX):
        from hardscatter.pileup.learned import Learned, describe  # only who wants a network loads ONNX Runtime
        from hardscatter.pileup.student import Student, is_student

        if is_student(method):
            return Student(method)
        describe(method)  # a file that cannot be used is found before any work
        return Learned(method)
    catalogue = _OURS if method in _OURS else methods()  # what is installed is looked through only if it must be
    if method not in catalogue:
        near = did_you_mean(method, catalogue)
        raise UnknownMethodError(f"there is no method '{method}'{near}; there are {', '.join(catalogue)}.")
    return catalogue[method].make()


def with_device(method: Method, device: str) -> Method:
    """Return a method that runs on a device: itself on "cpu", else a learned one with a batch as large as a GPU wants.

    Raises
    ------
    SettingsError
        If the method is none of `hardscatter.pileup.learned.Learned`.
    """
    if device == CPU:
        return method
    from hardscatter.pileup.learned import DEVICE_CHUNK, Learned  # only who wants a network loads ONNX Runtime

    if not isinstance(method, Learned):
        name = type(method).__name__
        raise SettingsError(f"{name} runs on the processor alone: device '{device}' is for networks such as total.")
    return dataclasses.replace(method, device=device, chunk=DEVICE_CHUNK)


def by_name(chosen: Sequence[str]) -> dict[str, str]:
    """Return methods by the name that their weights get: the id, or the stem of a trained model's file.

    Raises
    ------
    SettingsError
        If two of them would get the same name.
    """
    named: dict[str, str] = {}
    for method in chosen:
        name = Path(method).name.removesuffix(MODEL_SUFFIX) if method.endswith(MODEL_SUFFIX) else method
        if named.setdefault(name, method) != method:
            raise SettingsError(
                f"weights of '{named[name]}' and '{method}' would both be called '{name}': rename a model's file."
            )
    return named


def settings_of(method: Method) -> dict[str, Any]:
    """Return the resolved settings of a method as plain data, for the metadata of what it makes."""
    settings: Mapping[str, Any] = dataclasses.asdict(method) if dataclasses.is_dataclass(method) else {}
    return {"class": type(method).__name__, **settings}


def mitigate(events: Events, method: str | Method) -> ak.Array:
    """Weigh every candidate by how much of it belongs to the hard scatter.

    Parameters
    ----------
    events
        Crossings; their truth is removed before the method sees them.
    method
        A method id (see `methods`) or an instance with settings of its own.

    Returns
    -------
    ak.Array
        Jagged float32 in [0, 1], aligned with ``events.candidates``; an event without candidates gets none.

    Raises
    ------
    UnknownMethodError
        If there is no such method.
    MissingFieldError
        If the method needs a field that the events lack, such as ``n_vertices``.
    InvalidEventsError
        If a third party's method returns weights that are misaligned or outside [0, 1].
    """
    chosen = get_method(method)
    name = method if isinstance(method, str) else type(method).__name__
    weights = chosen.weights(events.without_truth())
    offsets, _ = flat_candidates(events)
    return checked_fraction(f"weights of method '{name}'", weights, np.diff(offsets))


def perfect_weights(events: Events) -> ak.Array:
    """Return the weights nobody can beat: the hard fraction of each candidate, w_i = E_i^hard / E_i.

    Not a method: it needs the truth and marks the limit that methods are measured against. Jagged float32 in
    [0, 1], aligned with the candidates.

    Raises
    ------
    MissingFieldError
        If the events hold no ``truth.hard_fraction`` (data, or simulation that does not say).
    """
    if not events.has("truth.hard_fraction"):
        raise MissingFieldError(
            "perfect weights need truth.hard_fraction, which these events lack: use simulation that records the "
            "hard share of each candidate (Delphes since 3.5.1 does)."
        )
    return ak.values_astype(events.truth.hard_fraction, np.float32)
