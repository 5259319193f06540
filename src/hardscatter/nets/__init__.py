"""Network building blocks in PyTorch, each with its equation and shapes; nothing below this room imports torch.

The way out to ONNX is `hardscatter.nets.export`, imported on its own so that training does not load ONNX Runtime.
"""

from hardscatter.nets.abcnet import ABCNet, PUNetworkSettings
from hardscatter.nets.edges import edge_features
from hardscatter.nets.gap import GAP, RawGAP

__all__ = ["GAP", "ABCNet", "PUNetworkSettings", "RawGAP", "edge_features"]
