"""Learned methods on a GPU: everything from the candidates to their weights in PyTorch, many crossings at once.

`hardscatter.pileup.learned.Learned` comes here when its device is not "cpu".
"""

from hardscatter.device.weights import weigh

__all__ = ["weigh"]
