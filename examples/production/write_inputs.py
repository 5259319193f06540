"""Write what a network wants of the first crossing of a file, for weights.cpp: write_inputs.py FILE MODEL INPUTS."""

import sys
from pathlib import Path

import hardscatter as hs
from hardscatter.pileup.learned import Inputs, describe


def write_inputs(events: hs.Events, model: str, output: Path) -> int:
    """Write features, coordinates and neighbours as they lie in memory; return the number of candidates."""
    card, inputs = describe(model), Inputs(events.without_truth())
    features = inputs.features(card.schema, card.schema_hash)
    arrays = (features, inputs.coordinates, inputs.links(card.links))
    output.write_bytes(b"".join(array.tobytes() for array in arrays))
    return len(features)


if __name__ == "__main__":
    file, model, output = sys.argv[1:]
    n = write_inputs(next(hs.iterate(file, step=1)), model, Path(output))
    print(f"{output}: {n} candidates; run: weights {describe(model).path} {output} {n}")
