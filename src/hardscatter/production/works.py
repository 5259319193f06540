"""What workers do with a part: weigh the candidates of some entries of a file, or simulate some crossings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hardscatter.io import Writer
from hardscatter.pileup import mitigate_file
from hardscatter.pileup.method import CPU
from hardscatter.production.parts import Part
from hardscatter.simulation import Crossings


@dataclass(frozen=True)
class Mitigation:
    """The entries with the weights of some methods beside the candidates."""

    methods: tuple[str, ...]
    uncertainty: bool = False
    particle_flow: str | None = None
    step: int = 100
    """Events held in memory at once."""
    device: str = CPU

    def __call__(self, part: Part, files: list[Path]) -> int:
        """Read, weigh and write the part."""
        return mitigate_file(
            part.source, files[0], self.methods, uncertainty=self.uncertainty, particle_flow=self.particle_flow,
            entries=(part.first, part.last), step=self.step, device=self.device,
        )  # fmt: skip

    @property
    def also(self) -> tuple[str, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class Simulation:
    """Crossings of a process, and with `partners` the same hard collisions without pileup."""

    settings: Mapping[str, Any]
    """Of `hardscatter.simulate`, all hashable."""
    partners: str | None = None
    """Where their files go: what their names begin with, seen from the production's folder."""
    step: int = 100

    def __call__(self, part: Part, files: list[Path]) -> int:
        """Simulate and write the part."""
        crossings = _crossings(part.source, tuple(sorted(self.settings.items())), self.partners is not None)
        with ExitStack() as stack:
            writers = [stack.enter_context(Writer(path)) for path in files]
            for first in range(part.first, part.last, self.step):
                made = crossings.excerpt(first, min(first + self.step, part.last))
                for writer, events in zip(writers, made, strict=False):
                    if events is not None:  # no partners, no writer for them
                        writer.write(events)
        return part.last - part.first

    @property
    def also(self) -> tuple[str, ...]:
        """The partners."""
        return () if self.partners is None else (self.partners,)


def forget_pool() -> None:
    """Let go of the pool of pileup that this process holds, if it made crossings."""
    _crossings.cache_clear()


@lru_cache(maxsize=1)  # the pool of pileup is loaded once a worker
def _crossings(process: str, settings: tuple[tuple[str, Any], ...], pairs: bool) -> Crossings:
    return Crossings(process, pairs=pairs, **dict(settings))
