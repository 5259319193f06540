"""Network building blocks in PyTorch, each with its equation and shapes; nothing below this room imports torch.

The way out to ONNX is `hardscatter.nets.export`, imported on its own so that training does not load ONNX Runtime.
"""

from hardscatter.nets.abcnet import ABCNet, AttentionSettings
from hardscatter.nets.convolution import ConvolutionNetwork, ConvolutionSettings
from hardscatter.nets.edges import edge_features
from hardscatter.nets.gap import GAP, RawGAP
from hardscatter.nets.gated import GatedNetwork, GatedSettings
from hardscatter.nets.sequence import SequenceNetwork, SequenceSettings

Settings = AttentionSettings | GatedSettings | SequenceSettings | ConvolutionSettings
"""Sizes of a network of any architecture."""
Network = ABCNet | GatedNetwork | SequenceNetwork | ConvolutionNetwork
"""A network of any architecture: features, coordinates and links to weights."""


def make(settings: Settings, n_features: int) -> Network:
    """Return a network of these sizes for a feature matrix of so many columns, its parameters drawn anew."""
    match settings:
        case AttentionSettings():
            return ABCNet(settings, n_features)
        case GatedSettings():
            return GatedNetwork(settings, n_features)
        case SequenceSettings():
            return SequenceNetwork(settings, n_features)
        case ConvolutionSettings():
            return ConvolutionNetwork(settings, n_features)


__all__ = [
    "GAP", "ABCNet", "AttentionSettings", "ConvolutionNetwork", "ConvolutionSettings", "GatedNetwork", "GatedSettings",
    "Network", "RawGAP", "SequenceNetwork", "SequenceSettings", "Settings", "edge_features", "make",
]  # fmt: skip
