"""How a learned method comes to be: crossings, objective, training, export. Needs ``hardscatter[train]``."""

from hardscatter.training.configuration import Machine, Training, configurations, load_configuration
from hardscatter.training.run import Progress, history, load, train

__all__ = ["Machine", "Progress", "Training", "configurations", "history", "load", "load_configuration", "train"]
