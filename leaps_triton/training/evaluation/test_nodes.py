"""What a training on nodes is judged by: the residual on fresh ones."""

import logging

import torch

from ...samplers.sampler import Sampler
from ..config import TrainingConfig
from ..data.buffer import Batch, Buffer
from ..data.nodes import NodeBuffer, NodePlaces, fresh_places, node_weights
from ..history import TrainingHistory
from ..terms import Block, Terms, blocks_of, variance
from ..trained import Trained

__all__ = ["TestNodes"]

_log = logging.getLogger("leaps_triton")


class TestNodes:
    """Nodes that nothing is trained on, at times of their own.

    They follow from the training's seed alone, and are made where they are first used.

    Args:
        judged: what the sampler has: transport and path as they are, or their moving average.
        config: the settings.
        device: where they are.
    """

    __test__ = False

    def __init__(self, judged: Trained, config: TrainingConfig, device: torch.device) -> None:
        self._judged = judged
        self._config = config
        self._device = device
        self._terms = Terms(judged.path, judged.transport, config, judged.curved)
        self._blocks: list[Block] = []

    @classmethod
    def of(cls, sampler: Sampler, config: TrainingConfig) -> "TestNodes | None":
        """Return fresh nodes; None where no nodes are trained on."""
        if config.refresh != "nodes":
            return None
        return cls(Trained.of(sampler), config, sampler.device)

    def enter(self, history: TrainingHistory, step: int, buffer: Buffer) -> None:
        """Enter the residual on fresh nodes, and on those that are trained on.

        Args:
            history: what is added to.
            step: steps that were made.
            buffer: holds the nodes that are trained on.
        """
        # Only those who train on nodes are tested on others.
        assert isinstance(buffer, NodeBuffer)
        test = self.residual()
        own = self._blocks_of(NodePlaces(buffer.configurations, buffer.t))
        trained = variance(self._terms, own) ** 0.5
        history.test_step.append(step)
        history.test_residual.append(test)
        history.node_residual.append(trained)
        _log.info("step %d: residual %.4g on fresh nodes, %.4g on nodes", step, test, trained)

    def residual(self) -> float:
        """Return the root mean square of the residuals on fresh nodes."""
        if self._judged.curved or not self._blocks:
            fresh = fresh_places(self._judged.path, self._config, self._device)
            self._blocks = self._blocks_of(fresh)
        return variance(self._terms, self._blocks) ** 0.5

    def _blocks_of(self, nodes: NodePlaces) -> list[Block]:
        """Return nodes with their weights as the path is now."""
        weights = node_weights(self._judged.path, nodes)
        return blocks_of(Batch(nodes.configurations, nodes.t, weights=weights), self._terms)
