"""The physics case on disk: records, numbers, figures and the page, made so that a run that was stopped goes on."""

from __future__ import annotations

import io
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
from matplotlib.figure import Figure

from hardscatter import __version__
from hardscatter.arena.files import plain, write_json
from hardscatter.arena.run import check_folder
from hardscatter.campaign.case import Material, Question, case_questions
from hardscatter.campaign.recording import Job, prepared, record
from hardscatter.campaign.samples import Sample
from hardscatter.errors import SettingsError
from hardscatter.events import Events
from hardscatter.jobs import Cluster, at_work
from hardscatter.metrics.statistics import LEAST_REPLICAS
from hardscatter.metrics.studies import Study
from hardscatter.pileup import mitigate
from hardscatter.pileup.method import by_name
from hardscatter.report.event_view import event_view
from hardscatter.report.first_light import before_and_after, save
from hardscatter.report.headlines import headlines_of, summary_of, told
from hardscatter.report.page import Page, write_page
from hardscatter.report.studies import draw
from hardscatter.report.style import label
from hardscatter.simulation import Progress

_DPI = 200
"""Of figures beside the page, which are for slides."""
_DPI_ON_PAGE = 110
_PICTURE = "before_and_after"
_SHOWN = 3
_FB_PER_MB = 1e12
_PACKAGES = ("numpy", "numba", "awkward", "fastjet", "onnxruntime", "pythia8mc")


@dataclass(frozen=True)
class CaseSettings:
    """What a physics case is made with, beside its samples."""

    methods: tuple[str, ...]
    replicas: int = 400
    questions: Callable[[Material], dict[str, Question]] = case_questions
    shown: tuple[str, ...] = ("ttbar", "vbf", "zprime")
    """Samples of which a crossing is shown."""
    title: str = "Pileup mitigation: the physics case"
    cross_sections: Mapping[str, float] = field(default_factory=dict)
    """fb, by sample, where the samples do not say themselves."""
    command: str = ""
    """That the user gave, for the provenance."""


def write_case(
    output: str | Path,
    samples: Sequence[Sample],
    settings: CaseSettings,
    *,
    workers: int = 1,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Record samples, answer the questions, draw the figures and write the page; return what was written.

    The folder gets ``index.html``, ``numbers/`` (a JSON a study), ``figures/`` (PNG and PDF a result), ``case.json``
    (headlines and provenance) and ``records/``: what it holds of the same samples, methods and code is not done again.
    The records are made by `cluster`, if there is one, with the same numbers; `workers` processes build libraries of
    collisions where there is none.

    Raises
    ------
    HardscatterError
        Before any work, if a method or setting cannot be used or the folder cannot be written in; later if a sample
        holds no truth or there is no space.
    """
    folder = check_folder(output)
    if settings.replicas < LEAST_REPLICAS:
        raise SettingsError(f"{settings.replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    jobs = {sample.name: prepared(sample, settings.methods, folder / "records") for sample in samples}
    with at_work(cluster) as client:
        records = {name: record(job, progress, workers=workers, cluster=client) for name, job in jobs.items()}
    abouts = {name: json.loads(job.about.read_text(encoding="utf-8")) for name, job in jobs.items()}
    known = {name: _FB_PER_MB * said["cross_section_mb"] for name, said in abouts.items() if "cross_section_mb" in said}
    questions = settings.questions(Material(records, {**known, **settings.cross_sections}, settings.replicas))
    drawn = _Drawn(folder)
    studies = _answered(questions, drawn, progress)
    headlines, provenance = headlines_of(studies), _provenance(jobs, abouts, settings)
    write_json(folder / "case.json", plain({"headlines": [vars(one) for one in headlines], "provenance": provenance}))
    page = Page(
        settings.title,
        summary=summary_of(headlines, sum(map(len, records.values()))),
        headlines=headlines,
        studies=studies,
        provenance=provenance,
        folder=folder,
    )
    return [write_page(folder / "index.html", _with_pictures(page, jobs, settings, drawn)), *drawn.written]


class _Drawn:
    """Figures as they are made: PNG and PDF in the folder, and a smaller PNG for the page."""

    def __init__(self, folder: Path) -> None:
        self.on_page: dict[str, bytes] = {}
        self.written: list[Path] = []
        self.folder = folder
        self._figures = folder / "figures"
        self._figures.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, figure: Figure) -> None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout stays as it is, and is not found anew for each format
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=_DPI_ON_PAGE)
        self.on_page[name] = stream.getvalue()
        self.written += save(figure, self._figures / f"{name}.png", dpi=_DPI)


def _answered(questions: Mapping[str, Question], drawn: _Drawn, progress: Progress | None) -> tuple[Study, ...]:
    """Return the answers, of which numbers and figures are in the folder."""
    studies = []
    for done, question in enumerate(questions.values(), 1):
        study = question()
        write_json(drawn.folder / "numbers" / f"{study.name}.json", plain(study.to_dict()))
        for result in study.results:
            drawn.add(result.name, draw(result))
        studies.append(study)
        if progress is not None:
            progress("studies", done, len(questions))
    return tuple(studies)


def _with_pictures(page: Page, jobs: Mapping[str, Job], settings: CaseSettings, drawn: _Drawn) -> Page:
    """Return the page with its figures, the crossings that are shown, and the first of them before and after."""
    shown = list(_shown(jobs, settings))
    picture = told(shown[0].weights)
    if picture:
        drawn.add(_PICTURE, before_and_after(shown[0].event, shown[0].weights[picture], picture))
    return replace(
        page,
        figures=drawn.on_page,
        picture=_PICTURE if picture else "",
        picture_caption=f"{shown[0].title}, before and after {label(picture)}.",
        events=tuple(event_view(one.event, one.weights, one.title) for one in shown),
    )


def _provenance(
    jobs: Mapping[str, Job], abouts: Mapping[str, Mapping[str, Any]], settings: CaseSettings
) -> dict[str, Any]:
    samples = [
        {"sample": job.sample.title, "crossings": len(job.sample.source), **abouts[name]} for name, job in jobs.items()
    ]
    return {
        "command": settings.command,
        "methods": list(settings.methods),
        "bootstrap replicas": settings.replicas,
        "versions": {"hardscatter": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _PACKAGES},
        "samples": samples,
    }


@dataclass(frozen=True)
class _Shown:
    """A crossing for the displays, with weights by method."""

    title: str
    event: Events
    weights: dict[str, ak.Array]


def _shown(jobs: Mapping[str, Job], settings: CaseSettings) -> Iterator[_Shown]:
    """Yield the first crossing of each sample that is shown, or the first few of a single one."""
    names = [name for name in settings.shown if name in jobs] or list(jobs)[:_SHOWN]
    for name in names:
        source = jobs[name].sample.source
        for place in range(min(len(source), _SHOWN // len(names))):
            event, _ = source.part(place, place + 1)
            stored = {one: event.weights[one] for one in source.stored}
            words = by_name([word for word in settings.methods if word not in ("none", *stored)])
            weights = stored | {one: mitigate(event, word) for one, word in words.items()}
            yield _Shown(f"{jobs[name].sample.title}, crossing {place}", event, weights)
