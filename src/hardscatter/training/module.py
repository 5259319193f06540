"""The Lightning module: a network, an objective, an optimiser."""

from __future__ import annotations

import math
from typing import Any

import lightning
import torch
from torch import Tensor

from hardscatter import __version__
from hardscatter.detector import load_card
from hardscatter.nets import Network, make
from hardscatter.training.batches import Batch
from hardscatter.training.configuration import Optimiser, Training
from hardscatter.training.objectives import Sum
from hardscatter.transport.features import PT


def make_network(training: Training) -> Network:
    """Return the network of a training, its parameters drawn from the training's seed."""
    with torch.random.fork_rng():
        torch.manual_seed(training.seed)
        return make(training.network, len(training.schema))


class Weighing(lightning.LightningModule):
    """Train a network to weigh candidates: weights from what a detector measures, judged by the objective."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.training_settings = training
        self.network = make_network(training)
        self.objective = Sum.of(training.objective)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Return the batch on the device, its offsets left on the CPU."""
        return batch.to(device)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the loss of a batch."""
        loss, terms = self._judged(batch)
        self._log("train", {"loss": loss.detach(), **terms}, batch)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log the loss of a batch that decides which checkpoint is best."""
        loss, terms = self._judged(batch)
        self._log("validation", {"loss": loss, **terms}, batch)

    def _judged(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        inputs = batch.inputs
        weights = self.network(inputs.features, inputs.coordinates, inputs.neighbours)
        # Slices belong to the batch: the same after a resumption, and for validation the same in every round.
        generator = torch.Generator().manual_seed(2**32 * self.training_settings.seed + batch.number)
        with torch.autocast(weights.device.type, enabled=False):
            weights = weights.float()
            loss, terms = self.objective(weights, batch, generator)
        # How much momentum is kept, for each GeV that is there without pileup: 1 without bias. No truth in it.
        there = batch.alone.kinematics[:, PT].sum()
        kept = (weights.detach() * batch.crossings.kinematics[:, PT]).sum() / there
        return loss, {**terms, "kept": torch.where(there > 0, kept, 1.0)}

    def _log(self, stage: str, values: dict[str, Tensor], batch: Batch) -> None:
        named = {f"{stage}/{name}": value for name, value in values.items()}
        size = len(batch.crossings.offsets) - 1
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what made the checkpoint, and what a resumption must know before it begins."""
        trainer = self.trainer
        checkpoint["schema"], checkpoint["version"] = self.training_settings.schema.hash(), __version__
        checkpoint["cards"] = {name: load_card(name).hash() for name in self.training_settings.data.cards}
        checkpoint["precision"] = str(trainer.precision)
        checkpoint["devices"] = trainer.world_size
        checkpoint["finished"] = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs

    def configure_optimizers(self) -> Any:
        """Return Adam and its schedule of rates."""
        t = self.training_settings
        optimiser = torch.optim.Adam(self.network.parameters(), t.optimiser.rate)
        steps = t.length.rounds * t.length.steps
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: share(t.optimiser, step, steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def share(optimiser: Optimiser, step: int, steps: int) -> float:
    """Return the share of the full rate at a step of so many."""
    warm = min(1.0, (step + 1) / (optimiser.warmup + 1))
    if optimiser.schedule == "constant":
        return warm
    return warm * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(step / steps, 1.0))))
