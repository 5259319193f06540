"""How fast hardscatter is, each figure beside a peer measured in the same run."""

import os

# Before NumPy loads a BLAS: the targets are for one core.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"
