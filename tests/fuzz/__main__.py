"""Reads mutated files of every kind in children, and says what became of them; exit code 1 if a promise was broken."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from fuzz.isolation import Task, outcomes
from fuzz.subjects import SUBJECTS, make_corpus

_KEPT = 5
"""Failures of one kind that are told in full."""


def main() -> None:
    """Fuzz."""
    arguments = _arguments()
    names = arguments.subject or list(SUBJECTS)
    each = -(-arguments.files // len(names))
    tasks = [Task(name, arguments.first, arguments.first + each, arguments.seed) for name in names]
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    failures: dict[tuple[str, str], list[str]] = defaultdict(list)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus"
        make_corpus(corpus, names)
        for outcome in outcomes(tasks, corpus, arguments.limit):
            if not counts[outcome.subject]:
                print(f"{time.monotonic() - start:6.0f} s: {outcome.subject}", file=sys.stderr, flush=True)
            counts[outcome.subject][outcome.kind] += 1
            if not outcome.fine:
                told = failures[outcome.subject, outcome.kind]
                told.append(f"{outcome.number}: {outcome.detail}")
                if len(told) <= arguments.tell:
                    print(f"{outcome.subject} {outcome.number} {outcome.kind}: {outcome.detail}", flush=True)
    total = sum(map(Counter.total, counts.values()))
    for name, found in counts.items():
        print(f"{name:17} {', '.join(f'{kind} {n}' for kind, n in sorted(found.items()))}")
    broken = sum(len(told) for told in failures.values())
    print(f"{total} files, {broken} broken promises, {time.monotonic() - start:.0f} s")
    if arguments.output is not None:
        content = {"files": total, "seed": arguments.seed, "first": arguments.first, "counts": counts,
                   "failures": {" ".join(key): told[:_KEPT] for key, told in failures.items()}}  # fmt: skip
        arguments.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    sys.exit(int(broken > 0))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="mutated files in all")
    parser.add_argument("--subject", action="append", choices=list(SUBJECTS), help="only this reader, several times")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first file of each reader")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that one file may take")
    parser.add_argument("--tell", type=int, default=_KEPT, help="failures of one kind that are told")
    parser.add_argument("--output", type=Path, help="where to write the counts (JSON)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
