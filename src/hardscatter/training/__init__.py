"""How a learned method comes to be: crossings, objective, training, export. Needs ``hardscatter[train]``."""

from importlib.util import find_spec

from hardscatter.errors import MissingExtraError

if missing := [name for name in ("torch", "lightning", "onnx", "onnxscript", "yaml") if find_spec(name) is None]:
    raise MissingExtraError(f"training needs {', '.join(missing)}: pip install 'hardscatter[train]'.")

from hardscatter.training.configuration import Machine, Training, configurations, load_configuration
from hardscatter.training.run import Round, history, load, train

__all__ = ["Machine", "Round", "Training", "configurations", "history", "load", "load_configuration", "train"]
