"""Make the small files of this repository from larger ones.

    python tools/make_demo_file.py SOURCE.root examples/delphes_ttbar_pu140.root
    python tools/make_demo_file.py SOURCE.npz tests/data/delphes_packed.npz --events 2

A Delphes ROOT file keeps the leaves that hardscatter reads, under the same names and with the same values, and as
many of the first events as fit in the given size. A packed sample keeps its first events.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import awkward as ak
import numpy as np
import uproot

from hardscatter.io.delphes_events import JET_LEAVES, TOWER_LEAVES, TRACK_LEAVES

LEAVES = {
    "Event": ("Number",),
    "Vertex": ("Z",),
    "GenJet": JET_LEAVES,
    "GenJetAK8": JET_LEAVES,
    "GenMissingET": ("MET", "Phi"),
    "EFlowTrack": TRACK_LEAVES,
    "EFlowPhoton": TOWER_LEAVES,
    "EFlowNeutralHadron": TOWER_LEAVES,
}
SMALL_INTEGERS = {"Charge": np.int8, "IsRecoPU": np.int8, "IsPU": np.int8, "PID": np.int16}
COUNTS = {"trk": "n_trk", "pho": "n_pho", "had": "n_had", "gj": "n_gj", "g8": "n_g8"}


def slim_root(source: Path, target: Path, n_events: int) -> None:
    """Write the first events of a Delphes file with the leaves in `LEAVES` only."""
    with uproot.open(source) as file:
        tree = file["Delphes"]
        records = {
            name: ak.zip({leaf: tree[f"{name}.{leaf}"].array(entry_stop=n_events) for leaf in leaves}, depth_limit=2)
            for name, leaves in LEAVES.items()
        }
    for name, record in records.items():
        columns = {
            leaf: ak.values_astype(record[leaf], SMALL_INTEGERS[leaf]) if leaf in SMALL_INTEGERS else record[leaf]
            for leaf in record.fields
        }
        records[name] = ak.zip(columns, depth_limit=2)
    with uproot.recreate(target, compression=uproot.LZMA(9)) as file:
        types = {name: record.type.content for name, record in records.items()}
        tree = file.mktree(
            "Delphes",
            types,
            counter_name=lambda name: f"{name}_size",
            field_name=lambda outer, inner: f"{outer}.{inner}" if outer else inner,
        )
        tree.extend(records)


def slim_packed(source: Path, target: Path, n_events: int) -> None:
    """Write the first events of a packed sample."""
    with np.load(source) as archive:
        members = dict(archive)
    lengths = {prefix: int(members[counts][:n_events].sum()) for prefix, counts in COUNTS.items()}
    slimmed = {name: values[: lengths.get(name.split("_")[0], n_events)] for name, values in members.items()}
    np.savez_compressed(target, **slimmed)


def main() -> None:
    """Parse the command line and make the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--events", type=int, default=24, help="events at most")
    parser.add_argument("--max-bytes", type=int, default=3_000_000, help="size at most")
    options = parser.parse_args()
    slim = slim_packed if options.source.suffix == ".npz" else slim_root
    for n_events in range(options.events, 0, -1):
        slim(options.source, options.target, n_events)
        size = options.target.stat().st_size
        if size <= options.max_bytes:
            print(f"{options.target}: {n_events} events, {size} bytes")
            return
    parser.exit(1, f"{options.target}: one event alone is larger than {options.max_bytes} bytes\n")


if __name__ == "__main__":
    main()
