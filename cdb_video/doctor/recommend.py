"""Recommends losses for a data set: the rows of ``advice`` that apply to it, with reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr

from cdb_video.data.lists.splits import Splits
from cdb_video.doctor import advice
from cdb_video.doctor.advice import FEW, PAPER, SAFE
from cdb_video.doctor.findings import such_as
from cdb_video.options import Config
from cdb_video.output.rows import DifficultyRow

UNEVEN = 1.5
"""Largest over smallest class from which on sizes matter."""
LINKED = 0.5
"""Rank correlation of size and recall from which on sizes explain what is hard."""
SWINGING = 0.25
"""Mean change of a class's recall from one validation to the next, in the later half of a run."""
ASSUMED_RECALL = 0.7
"""Of the classes of a test, where no run tells."""
EXACT = 0.02
"""Standard error of the mean class recall on the test up to which three seeds do."""
Counts = npt.NDArray[np.int64]


@dataclass
class Recommendation:
    """The losses to compare, with reasons."""

    reasons: list[tuple[str, str]] = field(default_factory=list)
    """Topic and sentence."""
    losses: list[str] = field(default_factory=lambda: ["cross_entropy"])
    """As for ``compare``; the first is what the others are compared with."""
    seeds: int = 3
    options: dict[str, str] = field(default_factory=dict)
    """KEY -> VALUE, of what goes with them."""

    def add(self, topic: str, reason: str, *losses: str) -> None:
        """Appends a reason, and the losses that it speaks for."""
        self.reasons.append((topic, reason))
        self.losses += [loss for loss in losses if loss not in self.losses]


def recommend(
    config: Config, splits: Splits, names: Sequence[str], history: Sequence[DifficultyRow]
) -> Recommendation:
    """Uses class sizes, validation sizes and, after a run, recall over epochs.

    Args:
        splits: with at least 'train'.
        names: the splits that exist.
        history: ``difficulty.csv`` of a run; empty without one.
    """
    result = Recommendation()
    train = splits.counts("train")
    validation = splits.counts("val") if "val" in names else np.zeros_like(train)
    recall = _recall_by_epoch(history, len(train))
    _sizes(train, result)
    _hardness(train, recall, splits.class_names, result)
    _start(config, result)
    _sampler(config, result)
    _validation(config, validation, splits.class_names, result)
    if "test" in names:
        _test(splits.counts("test"), recall, result)
    return result


def _recall_by_epoch(history: Sequence[DifficultyRow], num_classes: int) -> npt.NDArray[np.float64]:
    """(epochs, K) recall on validation, NaN where there was none."""
    places = {epoch: place for place, epoch in enumerate(sorted({row.epoch for row in history}))}
    recall = np.full((len(places), num_classes), np.nan)
    for row in history:
        if row.class_id < num_classes and row.recall is not None:
            recall[places[row.epoch], row.class_id] = row.recall
    return recall


def _sizes(train: Counts, result: Recommendation) -> None:
    there = train[train > 0]
    ratio = there.max() / there.min()
    span = f"{len(there)} classes of {there.min()} to {there.max()} training clips (1:{ratio:.0f})"
    row = advice.UNEVEN_SIZES if ratio >= UNEVEN else advice.EQUAL_SIZES
    result.add("sizes", f"{span}: {row}", *row.losses)


def _hardness(
    train: Counts,
    recall: npt.NDArray[np.float64],
    class_names: Sequence[str],
    result: Recommendation,
) -> None:
    if not len(recall):
        result.add("difficulty", "no run yet: train one, and difficulty.csv says what is hard")
        return
    # Several last validations: a single one is noisy with few clips.
    last = np.array([_mean(column[-3:]) for column in recall.T])
    known = np.isfinite(last) & (train > 0)
    if known.sum() > 2 and np.ptp(train[known]) and np.ptp(last[known]):
        linked = spearmanr(train[known], last[known]).statistic
        if linked >= LINKED:
            what = "small classes are the hard ones, sizes explain most of it"
        elif linked > -LINKED:
            what = "sizes do not explain all that is hard, losses by difficulty are for the rest"
        else:
            what = f"large classes are the hard ones: {advice.HARD_LARGE}"
        text = f"rank correlation of training clips and recall {linked:+.2f}: {what}"
        result.add("difficulty", text, SAFE)
    hopeless = _chosen(class_names, known & (last == 0))
    if hopeless:
        result.add(
            "never recognised",
            f"{len(hopeless)} classes in the last validations{such_as(hopeless)}: look at their "
            "clips and labels first; no weight teaches what the clips do not show",
        )
    late = recall[len(recall) // 2 :]
    if len(late) > 2:
        swing = np.array([_mean(np.abs(np.diff(column))) for column in late.T])
        swinging = _chosen(class_names, swing > SWINGING)
        if swinging:
            result.add(
                "swing",
                f"recall of {len(swinging)} classes changes by over {100 * SWINGING:.0f} points "
                f"from one validation to the next{such_as(swinging)}: TAU 1 MOMENTUM 0.7",
                SAFE,
            )


def _validation(
    config: Config, validation: Counts, class_names: Sequence[str], result: Recommendation
) -> None:
    if not validation.any() or not config.train.eval_period:
        result.losses = [f"{one}:source=train" if "cdb" in one else one for one in result.losses]
        result.options["TRAIN.EVAL_PERIOD"] = "0"
        result.add(
            "validation",
            "none: difficulty comes from training recall (SOURCE train), which flatters classes "
            "learnt by heart; a few clips of each class for validation are worth more",
        )
        return
    empty = _chosen(class_names, validation == 0)
    if empty:
        text = f"{len(empty)} classes have no clip{such_as(empty)}: they keep their first weight"
        result.add("validation", text)
    few = validation[(validation > 0) & (validation < FEW)]
    if len(few):
        error = 100 * (0.25 / few.min()) ** 0.5
        result.add(
            "validation",
            f"{len(few)} classes have less than {FEW} clips, as few as {few.min()}, whose recall "
            f"is uncertain by {error:.0f} points: {advice.FEW_VALIDATION}",
            *advice.FEW_VALIDATION.losses,
        )


def _start(config: Config, result: Recommendation) -> None:
    if config.model.pretrained:
        result.add(
            "pretrained",
            "good features hold classes in place: the paper's form of CDB is worth a try, too",
            PAPER,
        )
    else:
        row = advice.REAL_CLIPS if config.data.num_frames > 1 else advice.IMAGES
        result.add(
            "from scratch",
            "pretrained weights (MODEL.PRETRAINED) are better than any loss. "
            f"{row.data.capitalize()}: {row}",
            *row.losses,
        )


def _sampler(config: Config, result: Recommendation) -> None:
    if config.sampler.name != "shuffle":
        result.options["SAMPLER.NAME"] = "shuffle"
        result.add(
            "sampler",
            f"{config.sampler.name} and a loss by sizes or difficulty correct for the same thing "
            "twice: shuffle while losses are compared",
        )


def _test(test: Counts, recall: npt.NDArray[np.float64], result: Recommendation) -> None:
    there = test[test > 0]
    if not len(there):
        return
    found = _mean(recall[-1]) if len(recall) else ASSUMED_RECALL
    share = found if 0 < found < 1 else ASSUMED_RECALL
    error = float((share * (1 - share) / there).sum() ** 0.5) / len(there)
    result.seeds = 3 if error <= EXACT else 5
    text = (
        f"{there.min()} to {there.max()} clips a class: their choice alone makes the mean class "
        f"recall uncertain by {100 * error:.1f} points, the same for all losses"
    )
    if error > EXACT:
        text += "; benchmarks/repeated_splits.py deals clips anew, many times"
    result.add("test", text)


def _chosen(class_names: Sequence[str], mask: npt.NDArray[np.bool_]) -> list[str]:
    return [name for name, chosen in zip(class_names, mask, strict=True) if chosen]


def _mean(values: npt.NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
