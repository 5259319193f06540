"""C++ peers: programs against the headers and libraries of FastJet's wheel, compiled, started and waiting for jobs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fastjet
import numpy as np
from numpy.typing import NDArray

FASTJET = "fastjet"
CONTRIB = ("fastjetcontribfragile", "fastjettools", "fastjetplugins", FASTJET)


@contextmanager
def started(
    source: Path, libraries: Sequence[str], particles: Iterable[NDArray[np.float64]]
) -> Iterator[subprocess.Popen[str] | None]:
    """Give a program that holds the particles and answers the lines of its input on stderr; None without a compiler.

    Parameters
    ----------
    source
        The program; its one argument is a file with, for each crossing, the number of particles and their rows.
    libraries
        Of the wheel, in the order of the linker.
    particles
        A row for each particle of a crossing, crossing after crossing.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        print(f"{source.name} is left out: there is no g++ to compile it with.")
        yield None
        return
    wheel = Path(fastjet.__file__).parent
    include, folder_of_libraries = wheel / "include", wheel / "lib64"
    with tempfile.TemporaryDirectory() as name:
        program, data = Path(name) / source.stem, Path(name) / "particles"
        command = [compiler, "-O2", "-std=c++17", str(source), f"-I{include}", f"-L{folder_of_libraries}",
                   *(f"-l{library}" for library in libraries), f"-Wl,-rpath,{folder_of_libraries}",
                   "-o", str(program)]  # fmt: skip
        subprocess.run(command, check=True)
        with data.open("wb") as file:
            for rows in particles:
                file.write(np.int64(len(rows)).tobytes() + rows.tobytes())
        process = subprocess.Popen(
            [program, data], text=True, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        try:
            yield process
        finally:
            process.communicate()  # the end of its input ends it


def rows_of(crossings: Iterable[Any], names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Return columns of each crossing's particles as rows of numbers."""
    return [np.stack([np.asarray(one[name], dtype=np.float64) for name in names], axis=1) for one in crossings]
