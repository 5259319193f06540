"""Teach students of `total`, measure them, and write figures and numbers of docs/trigger.md.

    python tools/trigger_students.py lessons --lessons LESSONS.npz     3600 crossings, once (6 minutes)
    python tools/trigger_students.py ship frontier bits losses --lessons LESSONS.npz
    python tools/trigger_students.py test                              the shipped student on the test samples
    python tools/trigger_students.py page                              figures and tables of docs/trigger.md

``ship`` teaches the shipped student, float and integer; ``frontier`` is resolution against size; ``bits`` against bit
width and sparsity, of the student that was shipped; ``losses`` what each loss is worth: all measured on the tuning
sample (seed 202), whose collisions are neither training (101) nor test (606). Numbers go to docs/trigger_*.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from pages import PILEUP, put, tuning_sample, with_digits
from pydantic import TypeAdapter

import hardscatter as hs
from hardscatter.events import jagged
from hardscatter.metrics import DESIGN, Observations, observe
from hardscatter.metrics.resolution import observe_all, replicas_of
from hardscatter.metrics.statistics import Estimate
from hardscatter.nets.student import StudentNetwork
from hardscatter.nets.student_export import export_integers, export_student
from hardscatter.pileup import mitigate
from hardscatter.pileup.student import INPUTS, MODELS, student_inputs
from hardscatter.report.style import LINES, colour, figure_style, label, simulation_label
from hardscatter.training.distillation import Distillation, Lessons, distil, draw, load_distillation, make_lessons
from hardscatter.training.quantised import Bits, quantise_student
from hardscatter.trigger import IntegerModel, read_model, write_model

SETTINGS = Path(__file__).parent.parent / "src/hardscatter/training/students/total-student.yaml"
QUANTITIES = ("ak4_central.pt", "ak4_forward.pt", "met")
N_TUNING, REPLICAS = 200, 200
TESTED = ("qcd", "ttbar-semileptonic", "vbf-h-invisible", "wjets", "zprime-tt")
N_TEST, TEST_SEED, TEST_MINBIAS = 300, 606, 20_000
"""Crossings of each process, of collisions that nothing else in this repository has seen, pileup's among them."""
ENDS = ("puppi:best", "puppi:cms-phase2", "perfect")
RIVALS = ("puppi-linear", "puppi:best", "total")
HIDDEN = ((12, 4), (16, 12), (32, 16), (64, 32), (128, 64))
"""Hidden layers of the frontier: 489, 793, 1697, 4417 and 12 929 parameters."""
SHIPPED_BITS = Bits(inputs=9, weights=7, hidden=9, output=8)


class Measure:
    """Students on the tuning sample, against the teacher: gaps, and their paired differences."""

    def __init__(self) -> None:
        self.events = tuning_sample(N_TUNING)
        self.inputs, self.offsets = student_inputs(self.events.without_truth())
        rivals = {name: mitigate(self.events, name) for name in RIVALS}
        self.seen: dict[str, Observations] = observe_all(self.events, rivals)

    def __call__(self, weigh: Callable[[np.ndarray], np.ndarray]) -> dict[str, Any]:
        """Return what a student reaches; `weigh` gives weights of inputs."""
        weights = jagged(weigh(self.inputs).astype(np.float32), self.offsets)
        return numbers({**self.seen, "student": observe(self.events, weights, DESIGN)}, "student")

    def rivals(self) -> dict[str, Any]:
        """Return what the others reach."""
        return {name: numbers(self.seen, name) for name in self.seen}


def numbers(seen: Mapping[str, Observations], name: str) -> dict[str, Any]:
    """Return resolution, bias and gaps of a method, and the gaps less the teacher's, each with its error."""
    kept = {other: seen[other] for other in dict.fromkeys((name, "total", *ENDS))}
    nominal, *drawn = replicas_of(kept, replicas=REPLICAS)
    result: dict[str, Any] = {"crossings": seen[name].n_events}

    def estimate(of: Callable[[Mapping[Any, float]], float]) -> list[float]:
        found = Estimate.from_replicas(of(nominal), np.array([of(values) for values in drawn]))
        return [found.value, found.error]

    for quantity in QUANTITIES:
        there = [s for s in ("resolution", "delta", "median", "gap", "gap_cms") if (name, quantity, s) in nominal]
        result[quantity] = {s: estimate(lambda v, s=s, q=quantity: v[name, q, s]) for s in there}
        for s in ("gap", "gap_cms"):
            if s in there:
                result[quantity][f"{s}, less the teacher's"] = estimate(
                    lambda v, s=s, q=quantity: v[name, q, s] - v["total", q, s]
                )
    return result


def of_network(network: torch.nn.Module, settings: Distillation) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives a network's weights of inputs."""

    def weigh(inputs: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(inputs[:, settings.columns])).numpy()

    return weigh


def losses(settings: Distillation, lessons: Lessons, measure: Measure) -> dict[str, Any]:
    """Return what each loss reaches, all else equal."""
    settings = replace(settings, steps=8000, candidates=2048, whole_steps=0, missing_momentum=0.0)
    tried = {
        "Σ pt |w − t|": replace(settings, loss="absolute"),
        "Σ pt (w − t)²": settings,
        "the same, then cells": replace(settings, whole_steps=500),
        "the same, then cells and missing momentum": replace(settings, whole_steps=500, missing_momentum=5.0),
    }
    return {name: taught(one, lessons, measure) for name, one in tried.items()}


def frontier(settings: Distillation, lessons: Lessons, measure: Measure) -> dict[str, Any]:
    """Return what students of several sizes reach, and what today's inputs allow, after the first part of teaching."""
    settings = replace(settings, steps=8000, candidates=2048, whole_steps=0)
    tried = {f"{'-'.join(map(str, hidden))}": replace(settings, hidden=hidden) for hidden in HIDDEN}
    today = {
        f"today {hidden[0]}-{hidden[1]}": replace(settings, inputs="today", hidden=hidden) for hidden in HIDDEN[1::2]
    }
    return {name: taught(one, lessons, measure) for name, one in (tried | today).items()} | measure.rivals()


def taught(settings: Distillation, lessons: Lessons, measure: Measure) -> dict[str, Any]:
    """Teach a student and return what it reaches."""
    network = distil(settings, draw(lessons, settings), lessons, print)
    sizes = [layer.weight.numel() for layer in network.layers]
    parameters = sum(p.numel() for p in network.parameters())
    found = {"parameters": parameters, "multiplications": sum(sizes), **measure(of_network(network, settings))}
    print(settings.hidden, settings.inputs, settings.loss, found, flush=True)
    return found


def bits(settings: Distillation, lessons: Lessons, measure: Measure) -> dict[str, Any]:
    """Return what integers of several widths reach, and what pruning costs."""
    network, drawn = shipped(settings), draw(lessons, settings)
    tried = {f"{w} bits": Bits(inputs=max(w, 6) + 2, weights=w, hidden=w + 2) for w in (3, 4, 5, 6, 8, 10)}
    tried |= {f"sparsity {s}": replace(SHIPPED_BITS, sparsity=s) for s in (0.5, 0.75)}
    result: dict[str, Any] = {"float": measure(of_network(network, settings))}
    for name, chosen in tried.items():
        shorter = replace(settings, steps=800, whole_steps=0)
        model = quantise_student(network, chosen, shorter, drawn, lessons).integer_model(
            tuple(INPUTS[i].name for i in settings.columns)
        )
        result[name] = described(model, chosen) | measure(lambda x, m=model: m.weights(x))
        print(name, result[name], flush=True)
    return result


def described(model: IntegerModel, chosen: Bits) -> dict[str, Any]:
    """Return the size of an integer model."""
    return {
        "weights": chosen.weights, "hidden": chosen.hidden, "inputs": chosen.inputs, "sparsity": chosen.sparsity,
        "parameters": model.parameters, "multiplications": model.multiplications,
    }  # fmt: skip


def ship(settings: Distillation, lessons: Lessons, measure: Measure) -> dict[str, Any]:
    """Teach the shipped student, write it and its integers; return what both reach."""
    drawn = draw(lessons, settings)
    network = distil(settings, drawn, lessons, print)
    about = {"settings": json.dumps(settings_of(settings)), "version": hs.__version__}
    difference = export_student(network, MODELS / f"{settings.name}.onnx", INPUTS, about)
    torch.save(network.state_dict(), checkpoint(settings))
    shorter = replace(settings, steps=2000, whole_steps=1000)
    model = quantise_student(network, SHIPPED_BITS, shorter, drawn, lessons).integer_model(
        tuple(column.name for column in INPUTS)
    )
    write_model(model, MODELS / f"{settings.name}.json")
    export_integers(model, Path("runs") / f"{settings.name}-integers.onnx", INPUTS)
    return {
        "largest difference to torch": difference,
        "float": {"parameters": model.parameters, **measure(of_network(network, settings))},
        "integers": described(model, SHIPPED_BITS) | measure(lambda x: model.weights(x)),
    }


def checkpoint(settings: Distillation) -> Path:
    """Return where the float student is kept for `bits`."""
    Path("runs").mkdir(exist_ok=True)
    return Path("runs") / f"{settings.name}.pt"


def shipped(settings: Distillation) -> StudentNetwork:
    """Return the student that `ship` taught."""
    network = StudentNetwork(len(settings.columns), settings.hidden)
    network.load_state_dict(torch.load(checkpoint(settings)))
    return network


def settings_of(settings: Distillation) -> dict[str, Any]:
    """Return settings as plain data."""
    plain: dict[str, Any] = TypeAdapter(Distillation).dump_python(settings, mode="json")
    return plain


def test() -> dict[str, Any]:
    """Return what the shipped student, its integers and the teacher reach on the final test samples."""
    model = read_model(MODELS / "total-student.json")
    result: dict[str, Any] = {}
    for process in TESTED:
        events = hs.simulate(process, N_TEST, pileup=PILEUP, seed=TEST_SEED, n_minbias=TEST_MINBIAS)
        weights = {name: mitigate(events, name) for name in (*RIVALS, "total:student")}
        inputs, offsets = student_inputs(events.without_truth())
        weights["integers"] = jagged(model.weights(inputs).astype(np.float32), offsets)
        seen = observe_all(events, weights)
        result[process] = {name: numbers(seen, name) for name in seen}
        print(process, result[process]["total:student"], flush=True)
    return result


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["lessons", *_MAKERS, "test", "page"])
    parser.add_argument("--lessons", type=Path, default=Path("runs/lessons.npz"))
    parser.add_argument("--output", type=Path, default=Path("docs"))
    given = parser.parse_args()
    hs.set_threads(1)
    torch.set_num_threads(1)
    settings = load_distillation(SETTINGS)
    if "lessons" in given.what:
        make_lessons(settings, lambda done, of: print(f"{done} of {of} crossings", flush=True)).save(given.lessons)
    wanted = [what for what in given.what if what in _MAKERS]
    if wanted:
        lessons, measure = Lessons.load(given.lessons), Measure()
        for what in wanted:
            write(given.output / f"trigger_{what}.json", settings, _MAKERS[what](settings, lessons, measure))
    if "test" in given.what:
        write(given.output / "trigger_test.json", settings, test())
    if "page" in given.what:
        figures(given.output)
        tables(given.output)
        card(given.output)


def write(path: Path, settings: Distillation, result: Mapping[str, Any]) -> None:
    """Write numbers with the settings that made them."""
    path.write_text(
        json.dumps({"settings": settings_of(settings), **rounded(result)}, indent=1) + "\n", encoding="utf-8"
    )
    print(path, flush=True)


def rounded(value: Any) -> Any:
    """Return plain data with five digits of every number."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def figures(output: Path) -> None:
    """Draw the frontier and the bit widths from the numbers that are there."""
    frontier, bits = (json.loads((output / f"trigger_{what}.json").read_text()) for what in ("frontier", "bits"))
    with figure_style():
        draw_frontier(frontier).savefig(output / "trigger_frontier.png", dpi=90)
        draw_bits(bits).savefig(output / "trigger_bits.png", dpi=90)


COLUMNS = (
    ("central jets δ/(1+med)", "ak4_central.pt", "resolution"),
    ("median", "ak4_central.pt", "median"),
    ("gap", "ak4_central.pt", "gap"),
    ("gap, less the teacher's", "ak4_central.pt", "gap, less the teacher's"),
    ("forward jets δ/(1+med)", "ak4_forward.pt", "resolution"),
    ("median", "ak4_forward.pt", "median"),
    ("gap, less the teacher's", "ak4_forward.pt", "gap, less the teacher's"),
    ("missing momentum δ [GeV]", "met", "delta"),
    ("gap", "met", "gap"),
    ("gap, less the teacher's", "met", "gap, less the teacher's"),
)
"""Head, quantity and statistic of what a table shows."""


def tables(output: Path) -> None:
    """Write the tables of the page from the numbers that are there."""
    for what in ("ship", "frontier", "bits", "losses"):
        rows = json.loads((output / f"trigger_{what}.json").read_text())
        put(
            output / "trigger.md",
            what,
            table({name: n for name, n in rows.items() if isinstance(n, dict) and "met" in n}),
        )
    lines = []
    for sample, rows in json.loads((output / "trigger_test.json").read_text()).items():
        if sample != "settings":
            lines += [
                f"**{sample}**, {rows['total']['crossings']} crossings",
                "",
                *table(rows),
                "",
            ]
    put(output / "trigger.md", "test", lines)


def card(output: Path) -> None:
    """Write the model card of the shipped student."""
    shipped, tested = (json.loads((output / f"trigger_{what}.json").read_text()) for what in ("ship", "test"))
    settings = shipped["settings"]
    lines = [
        f"# Model card: {settings['name']}", "",
        "A weight for every particle-flow candidate by a network small enough for the first level of a trigger.", "",
        "| | |", "|---|---|",
        f"| taught by | `{settings['teacher']}`: its weights, no truth |",
        f"| loss | {settings['loss']} difference, each candidate by its pt |",
        f"| training sample | own collisions: {', '.join(settings['data']['processes'])}, "
        f"{settings['data']['n_hard']} each; seed {settings['data']['seed']}, pileup {settings['data']['pileup']} |",
        f"| seen | {settings['crossings']} crossings |",
        f"| inputs | {len(INPUTS)}: the candidate and sums around it in towers (`hardscatter.pileup.student`) |",
        f"| size | {shipped['float']['parameters']} parameters, hidden layers of {settings['hidden']} |",
        f"| seed of the network | {settings['seed']} |",
        f"| ONNX Runtime against torch | largest difference {shipped['largest difference to torch']:.2g} |",
        "| beside it | `total-student.json`, the same taught again in integers |", "",
        "## Known limits", "",
        "- What the teacher does not know, the student cannot; read its card, too.",
        "- Seen in training: the processes, pileup and detectors above. Elsewhere: measure first.",
        "- The sums are those of full particle flow, not of a trigger's clusters and tracks above 2 GeV.",
        "- Forward jets: a part of what the teacher gains there is lost, see the results.",
        "- One training with one seed.", "",
        "## Results", "",
        "Gap: 0 for `puppi:best`, 1 for perfect weights; errors are bootstraps. See docs/trigger.md.", "",
    ]  # fmt: skip
    for sample, rows in tested.items():
        if sample != "settings":
            kept = {name: rows[name] for name in ("total", "total:student", "integers")}
            lines += [
                f"**{sample}**, {rows['total']['crossings']} crossings",
                "",
                *table(kept),
                "",
            ]
    lines += ["## Settings", "", "```json", json.dumps(settings, indent=1), "```", ""]
    (MODELS / f"{settings['name']}.md").write_text("\n".join(lines), encoding="utf-8")


def table(rows: Mapping[str, Any]) -> list[str]:
    """Return a table, one row a student or method."""
    sized = any("parameters" in n for n in rows.values())
    heads = [*(("parameters", "multiplications") if sized else ()), *(head for head, _, _ in COLUMNS)]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, n in rows.items():
        sizes = [str(n.get(key, "–")) for key in ("parameters", "multiplications")] if sized else []
        lines.append(
            f"| {name.replace('|', '∣')} | " + " | ".join([*sizes, *(cell(n[q].get(s)) for _, q, s in COLUMNS)]) + " |"
        )
    return lines


def cell(estimate: list[float] | None) -> str:
    """Write a number with its error."""
    if estimate is None:
        return "–"
    digits = 1 if abs(estimate[0]) > 5 else 3
    return with_digits(*estimate[:2], digits)


PANELS = (
    ("ak4_central.pt", "resolution", r"AK4 jets, $|\eta| < 2.5$:  $\delta / (1 + $median$)$"),
    ("met", "delta", r"missing momentum: $\delta$ [GeV]"),
)


def draw_frontier(found: Mapping[str, Any]) -> Figure:
    """Return resolution against multiplications, the others as lines."""
    students = {
        name: numbers for name, numbers in found.items() if isinstance(numbers, dict) and "multiplications" in numbers
    }
    figure, panels = plt.subplots(1, 2, figsize=(13, 6), layout="constrained")
    for panel, (quantity, statistic, words) in zip(panels, PANELS, strict=True):
        for of, marker, text in (
            ("correlator", "o", "students, sums of a correlator"),
            ("today", "s", "students, inputs of today"),
        ):
            rows = [n for name, n in students.items() if ("today" in name) == (of == "today")]
            value, error = np.array([row[quantity][statistic] for row in rows]).T
            shade = colour("total:student") if of == "correlator" else "#717581"
            panel.errorbar(
                [row["multiplications"] for row in rows], value, error, fmt=f"{marker}-", color=shade, label=text
            )
        for name in ("puppi-linear", "puppi:cms-phase2", "puppi:best", "total", "perfect"):
            value, error = found[name][quantity][statistic]
            panel.axhline(
                value, color=colour(name), ls=LINES.get(name.removesuffix(":cms-phase2"), ":"), label=label(name)
            )
            panel.axhspan(value - error, value + error, color=colour(name), alpha=0.1, lw=0)
        panel.set(xscale="log", xlabel="multiplications a candidate", ylabel=words)
    panels[1].set_ylim(bottom=0.0)
    panels[0].set_ylim(bottom=0.0)
    panels[1].legend(fontsize=10, loc="lower center", ncols=2)
    simulation_label(panels[0], "tuning sample, 200 crossings, pileup 140")
    return figure


def draw_bits(found: Mapping[str, Any]) -> Figure:
    """Return what integers lose against the teacher, by width and by sparsity."""
    widths = sorted((n["weights"], n) for name, n in found.items() if name.endswith(" bits"))
    pruned = sorted((n["sparsity"], n) for name, n in found.items() if name.startswith("sparsity"))
    figure, panels = plt.subplots(1, 2, figsize=(13, 6), layout="constrained", sharey=True)
    for panel, rows, words in ((panels[0], widths, "bits of a weight"), (panels[1], pruned, "share of weights pruned")):
        for quantity, text, shade, marker in (("ak4_central.pt", "AK4 jets, central", colour("total"), "o"),
                                              ("met", "missing momentum", colour("puppi:best"), "s")):  # fmt: skip
            key = "gap, less the teacher's"
            value, error = np.array([n[quantity][key] for _, n in rows]).T
            panel.errorbar([x for x, _ in rows], value, error, fmt=f"{marker}-", color=shade, label=text)
            panel.axhline(found["float"][quantity][key][0], color=shade, ls="--", label=f"{text}, float")
        panel.axhline(0, color="black", lw=0.8)
        panel.set(xlabel=words)
    panels[0].set(ylabel="gap closed, less the teacher's", ylim=(-0.8, 0.2))
    panels[0].legend(fontsize=12, loc="lower right")
    simulation_label(panels[0], "tuning sample, 200 crossings, pileup 140")
    return figure


_MAKERS = {"ship": ship, "frontier": frontier, "bits": bits, "losses": losses}

if __name__ == "__main__":
    main()
