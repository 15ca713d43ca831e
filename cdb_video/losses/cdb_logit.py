"""Difficulty on the logits, with feedback. Our own loss, not from a paper."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from cdb_video.config.types import NonNegativeFloat
from cdb_video.difficulty import ClassDifficulty, ClassState, DifficultyOptions
from cdb_video.losses.by_difficulty import LossByDifficulty, SourceOptions
from cdb_video.losses.class_weights import known_counts
from cdb_video.registry import LOSSES


@LOSSES.register("cdb_logit")
class CDBLogit(LossByDifficulty):
    """Cross entropy of ``z + a``, where each validation moves ``a_c`` by the recall of class c.

    ``a_c <- a_c + eta (recall_c - mean recall)``, from ``prior * log n_c`` on, recall as in
    ``cdb_ce``. A class that is harder than the mean is treated as rarer than it is, so the network
    learns to raise its logit. Validation and test use the plain logits. In balanced softmax (Ren et
    al., NeurIPS 2020; Menon et al., ICLR 2021) class sizes fix these margins once. Here they are
    the sum of an integral controller: they change as long as classes differ by more than
    ``tolerance`` allows. This works even when the network knows the training samples by heart, and
    weights on the loss have no effect any more (docs/cdb.md).

    A class without validation samples keeps its ``a``. ``class_weights`` w show ``a`` as
    ``exp(-a)``: a class of weight 2 counts as half as frequent as the average one.
    """

    @dataclass(frozen=True)
    class Options(SourceOptions, DifficultyOptions):
        """Options of ``cdb_logit``; the defaults were chosen on validation data."""

        eta: NonNegativeFloat = 0.5
        """Gain, >= 0. A class whose recall is 1 below the mean loses ETA of its logit at each
        validation. 0 stays at the start."""
        prior: NonNegativeFloat = 1.0
        """Start, >= 0: PRIOR times log n_c, the number of training samples of the class. 1 is
        ``balanced_softmax``. 0 is cross entropy and uses no class sizes."""
        tolerance: NonNegativeFloat = 2.0
        """Standard errors by which a class's recall may differ from the mean before its logit is
        moved, >= 0. Classes with few validation samples then move little. 0 follows every
        difference."""
        bound: NonNegativeFloat | None = 3.0
        """Distance from the start that a logit may be moved at most, >= 0. Without a bound (null),
        classes that the network does not learn would be moved ever further."""

    options: Options
    start: torch.Tensor
    """(K,) float32: ``prior * log n``."""
    moved: torch.Tensor
    """(K,) float32: what difficulty has added to it."""

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        self.classes = ClassDifficulty(options, self.num_classes)
        start = torch.zeros(self.num_classes, dtype=torch.float64)
        if options.prior:
            start = options.prior * known_counts(class_counts, "cdb_logit").clamp(min=1).log()
        self.register_buffer("start", start.float(), persistent=False)
        self.register_buffer("moved", torch.zeros(self.num_classes))
        self._set_weights()

    def _set_weights(self) -> None:
        shares = torch.softmax(-(self.start + self.moved).double(), dim=0)
        self.class_weights.copy_(shares * self.num_classes)

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        # Without a bound a weight can become 0.
        margins = -weights.clamp(min=torch.finfo(weights.dtype).tiny).log()
        return F.cross_entropy(logits + margins.to(logits.dtype), target)

    @torch.no_grad()
    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Updates the difficulties and the offsets of the logits."""
        self.classes.observe(recall, counts)
        counts = counts.to(self.moved.device)
        present = counts > 0
        if self.classes.warming_up or not present.any():
            return
        difficulty = self.classes.difficulty[present].double()
        error = self.options.tolerance * _standard_error(difficulty, counts[present].double())
        beyond = difficulty - difficulty.mean()
        beyond = beyond.sign() * (beyond.abs() - error).clamp(min=0)
        self.moved[present] -= (self.options.eta * beyond).float()
        # Beyond the bound nothing is summed up, so a later change acts at once.
        if self.options.bound is not None:
            self.moved.clamp_(-self.options.bound, self.options.bound)
        self._set_weights()

    def class_state(self, epoch: int) -> ClassState:
        return ClassState(self.classes.difficulty.clone(), self.weights_in(epoch).clone(), 0.0)


def _standard_error(share: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """(K,) standard error of a ``share`` of ``counts`` samples: the standard deviation of its
    posterior under a uniform prior, which is above 0 even for a share of 0 or 1."""
    mean = (share * counts + 1) / (counts + 2)
    return (mean * (1 - mean) / (counts + 3)).sqrt()
