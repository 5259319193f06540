"""Whole files with odd content: columns swapped, dropped, retyped, cut anew, full of odd numbers, or models changed."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np

from fuzz.mutations import ODD_WORDS, spoiled_array, spoiled_columns


def spoil_parquet(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write the columns of a Parquet file, spoiled, in any encoding."""
    import pyarrow.parquet as pq

    table = pq.read_table(source)
    metadata = table.schema.metadata
    if rng.random() < 0.2:
        words = metadata[b"hardscatter"].split(b'"')
        words[rng.integers(len(words))] = ODD_WORDS[rng.integers(len(ODD_WORDS))]
        metadata = {b"hardscatter": b'"'.join(words)}
    array = ak.from_arrow(table)
    columns = {name: array[name] for name in array.fields}
    if rng.random() < 0.3:
        columns = spoiled_columns(columns, rng)
    for name in ("candidates", "weights", "truth"):
        if name in columns and rng.random() < 0.5 and columns[name].fields:
            inner = spoiled_columns({field: columns[name][field] for field in columns[name].fields}, rng)
            try:
                columns[name] = ak.zip(inner, depth_limit=2)
            except Exception:  # no longer of one length: lists side by side
                columns[name] = ak.zip(inner, depth_limit=1)
    spoiled = ak.to_arrow_table(ak.zip(columns, depth_limit=1), extensionarray=False, list_to32=rng.random() < 0.5)
    pq.write_table(
        spoiled.replace_schema_metadata(metadata),
        target,
        compression=str(rng.choice(["none", "zstd", "snappy", "gzip"])),
        use_dictionary=bool(rng.random() < 0.5),
        row_group_size=int(rng.integers(1, 5)),
        data_page_version=str(rng.choice(["1.0", "2.0"])),
    )


def spoil_root(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write the branches of a ROOT file's trees, spoiled; whatever else lies in it as it is."""
    import uproot

    with uproot.open(source) as file, uproot.recreate(target, compression=None) as written:
        for key, kind in file.classnames(cycle=False).items():
            if kind != "TTree":
                text = str(file[key])
                written[key] = text if rng.random() < 0.8 else _odd_text(text, rng)
                continue
            tree = file[key]
            columns = {name: tree[name].array() for name in tree.keys() if tree[name].num_entries}  # noqa: SIM118
            counters = [name for name in columns if name[:1] == "n" or name.endswith("_size")]
            for name in counters:  # uproot makes them anew
                del columns[name]
            columns = {name.rsplit("/", 1)[-1]: values for name, values in columns.items()}
            kept = spoiled_columns(columns, rng)
            written.mktree(
                key,
                {name: values.dtype if isinstance(values, np.ndarray) else values.type.content
                 for name, values in kept.items()},
                counter_name=lambda name: f"n{name}" if rng.random() < 0.9 else "n",
            ).extend(kept)  # fmt: skip


def spoil_arrays(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write the arrays of an .npz file, spoiled."""
    with np.load(source) as file:
        columns = {name: file[name] for name in file.files}
    save = np.savez if rng.random() < 0.5 else np.savez_compressed
    save(target, **spoiled_columns(columns, rng))


def spoil_hdf5(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write the data sets of an HDF5 file, spoiled, turned, or cut to other shapes."""
    import h5py

    with h5py.File(source) as file:
        columns = {name: file[name][...] for name in file if isinstance(file[name], h5py.Dataset)}
    columns = spoiled_columns(columns, rng)
    if columns and rng.random() < 0.4:
        name = list(columns)[rng.integers(len(columns))]
        kind = rng.integers(4)
        values = np.asarray(columns[name])
        columns[name] = (values.T, values[..., :-1], values[:0], np.array([b"text"]))[kind]
    with h5py.File(target, "w") as file:
        for name, values in columns.items():
            more = {"chunks": True, "compression": "gzip"} if np.ndim(values) and rng.random() < 0.5 else {}
            file.create_dataset(name, data=values, **(more if np.size(values) else {}))


def spoil_onnx(source: Path, target: Path, rng: np.random.Generator) -> None:
    """Write a model with other parameters, shapes, operators, names or metadata."""
    import onnx

    model = onnx.load(source)
    graph = model.graph
    for _ in range(rng.integers(1, 4)):
        kind = rng.integers(8)
        if kind <= 2 and graph.initializer:
            tensor = graph.initializer[rng.integers(len(graph.initializer))]
            if kind == 0:
                values = spoiled_array(onnx.numpy_helper.to_array(tensor), rng)
                tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(values), tensor.name))
            elif kind == 1:
                size = len(tensor.dims)
                if size:
                    tensor.dims[rng.integers(size)] = int(rng.choice([0, -1, 1, 7, 2**31, 2**62]))
            else:
                tensor.data_type = int(rng.integers(0, 20))
        elif kind == 3 and graph.node:
            node = graph.node[rng.integers(len(graph.node))]
            node.op_type = str(rng.choice(["Loop", "If", "Relu", "Expand", "Tile", "Gather", "Nothing", "MatMul"]))
        elif kind == 4 and graph.node:
            node = graph.node[rng.integers(len(graph.node))]
            names = list(node.input)
            rng.shuffle(names)
            node.input[:] = names
        elif kind == 5:
            model.opset_import[0].version = int(rng.choice([0, 1, 7, 13, 99, 2**31]))
        elif kind == 6 and graph.input:
            shape = graph.input[rng.integers(len(graph.input))].type.tensor_type.shape.dim
            if shape:
                shape[rng.integers(len(shape))].dim_value = int(rng.choice([0, 1, 5, 2**40]))
        elif model.metadata_props:
            about = model.metadata_props[rng.integers(len(model.metadata_props))]
            about.value = _odd_text(about.value, rng)
    target.write_bytes(model.SerializeToString())


def _odd_text(text: str, rng: np.random.Generator) -> str:
    words = text.split('"')
    words[rng.integers(len(words))] = ODD_WORDS[rng.integers(len(ODD_WORDS))].decode(errors="replace")
    return '"'.join(words)
