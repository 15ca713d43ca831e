"""Where should difficulty come from, when there are few validation samples?

python benchmarks/difficulty_sources.py [--losses ...] [--val 5,12,25] [--seeds 5] [--out FOLDER]

A long tail of CIFAR-10 (1,000 to 20 images, ratio 50; its classes shuffled, so that some large ones
are hard), linear classifiers on frozen ImageNet features (frozen.py says what they need). Recall
comes from validation as it is, as a running mean, pulled to the mean of classes, or by Wilson's
interval; from training, without and with dropout; or out of fold: five more classifiers, each
without a fifth of the training samples, which it tells about. Scores of the last epoch, since
without validation there is no best one. Also how far each source is from the recall on the test.
"""

import argparse
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from frozen import (
    BATCH_SIZE,
    EPOCHS,
    LEARNING_RATE,
    Features,
    cifar10,
    compared,
    draw,
    make_loss,
    predict,
)
from torch import Tensor, nn
from torch.nn import functional as F

from cdb_video.data.lists.imbalance import profile_shares, sizes_by_largest
from cdb_video.losses.base import Loss
from cdb_video.metrics import recall_per_class

SOURCES = {
    "validation": "",
    "validation, MOMENTUM 0.7": ":momentum=0.7",
    "validation, PRIOR_COUNT 10": ":prior_count=10",
    "validation, centre of Wilson's interval": "",
    "training": "",
    "training with dropout": "",
    "out of fold": "",
}
"""Name -> options of the loss."""
FOLDS, DROPOUT, NUM_CLASSES = 5, 0.5, 10
Counted = tuple[np.ndarray, np.ndarray]
"""(K,) recall and (K,) samples."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--losses", default="cdb_ce:tau=1,cdb_logit", help="as for cdb-video compare"
    )
    parser.add_argument("--val", default="5,12,25", help="validation samples of each class")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each")
    parser.add_argument("--out", type=Path, default=Path("output/frozen"), help="for the features")
    parser.add_argument("--data", default="datasets/cifar10", help="folder of CIFAR-10")
    words = parser.parse_args()
    data = cifar10(words.data, words.out)
    for loss in words.losses.split(","):
        for num_val in map(int, words.val.split(",")):
            print(f"\n{loss}, {num_val} validation images a class\n")
            print("| recall from | mean class recall | minus cross entropy |", end="")
            print(" worst class recall | minus cross entropy | off by |\n|---|---|---|---|---|---|")
            first: list[list[float]] = []
            for name, extra in {"cross entropy": "", **SOURCES}.items():
                text = "cross_entropy" if not first else loss + extra
                runs = [run(data, text, name, num_val, seed) for seed in range(words.seeds)]
                first = first or runs
                print(f"| {name} | {' | '.join(cells(runs, first))} |", flush=True)


def cells(runs: list[list[float]], first: list[list[float]]) -> list[str]:
    """Mean and worst class recall, each with its difference to ``first``, and the error."""
    shown: list[str] = []
    for place in (0, 1):
        own, other = (dict(enumerate(r[place] for r in some)) for some in (runs, first))
        shown += compared(own, None if runs is first else other)
    return [*shown, f"{100 * mean(one[2] for one in runs):.1f}"]


def run(data: dict[str, Features], text: str, source: str, num_val: int, seed: int) -> list[float]:
    """Mean and worst class recall on the test after the last epoch, and the mean difference
    between the recall that ``source`` tells then and that on the test."""
    sizes = sizes_by_largest([1000] * 10, profile_shares(10, "exponential", 50), 0)
    order = np.random.default_rng(seed).permutation(10)
    training, validation = draw(data["train"], [sizes[rank] for rank in order], seed, num_val)
    torch.manual_seed(seed)
    loss = make_loss(text, torch.bincount(training.labels, minlength=NUM_CLASSES))
    fold = torch.randint(FOLDS, (len(training.labels),)) if source == "out of fold" else None
    heads = [
        nn.Linear(training.inputs.shape[1], NUM_CLASSES) for _ in range(1 if fold is None else 6)
    ]
    optimizer = torch.optim.Adam([p for head in heads for p in head.parameters()], LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    dropout = DROPOUT if source == "training with dropout" else 0.0
    for epoch in range(1, EPOCHS + 1):
        loss.start_epoch(epoch)
        seen = one_epoch(heads, fold, loss, optimizer, training, dropout)
        schedule.step()
        told = recall_of(source, heads, fold, training, validation, seen)
        loss.observe(torch.from_numpy(told[0]), torch.from_numpy(told[1]))
    recall, _ = recall_per_class(data["test"].labels, predict(heads[0], data["test"]), NUM_CLASSES)
    return [recall.mean(), recall.min(), abs(told[0] - recall).mean()]


def one_epoch(
    heads: list[nn.Linear],
    fold: Tensor | None,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    training: Features,
    dropout: float,
) -> Tensor:
    """Trains the first head on all samples, the others each without its fold; (N,) what the first
    one took each sample for as it trained on it."""
    seen = torch.empty_like(training.labels)
    for chosen in torch.randperm(len(training.labels)).split(BATCH_SIZE):
        optimizer.zero_grad()
        x, y = F.dropout(training.inputs[chosen], dropout), training.labels[chosen]
        logits = heads[0](x)
        seen[chosen] = logits.detach().argmax(dim=1)
        total = loss(logits, y)
        for number, head in enumerate(heads[1:]):
            kept = fold[chosen] != number  # type: ignore[index]
            if kept.any():
                total = total + loss(head(x[kept]), y[kept])
        total.backward()
        optimizer.step()
    return seen


def recall_of(
    source: str,
    heads: list[nn.Linear],
    fold: Tensor | None,
    training: Features,
    validation: Features,
    seen: Tensor,
) -> Counted:
    """What ``source`` tells after an epoch."""
    if source.startswith("training"):
        return recall_per_class(training.labels, seen, NUM_CLASSES)
    if fold is not None:
        guess = torch.stack([predict(head, training) for head in heads[1:]])
        return recall_per_class(training.labels, guess.gather(0, fold[None])[0], NUM_CLASSES)
    recall, counts = recall_per_class(validation.labels, predict(heads[0], validation), NUM_CLASSES)
    if source.endswith("interval"):
        z2 = 1.96**2
        recall = (recall * counts + z2 / 2) / (counts + z2)
    return recall, counts


if __name__ == "__main__":
    main()
