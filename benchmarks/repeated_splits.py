"""Compares losses on one set of clips over many random splits, in place of the one that it has.

python benchmarks/repeated_splits.py --root FOLDER [--block REGEX] [--splits 10] [--losses ...]
    [--cfg configs/clips_cdb.yaml] [--frozen] [--out FOLDER] [KEY VALUE ...]

FOLDER is a DATA.CLIPS.ROOT. Its clips are dealt anew, half to training, a quarter to validation and
a quarter to the test, so that clips of one block (the same person, the same camera: what REGEX
captures in the path) stay together and classes keep their shares. Each loss is trained once on
each split, by cdb-video compare; with --frozen a linear classifier on ImageNet features of eight
frames is, their mean and their change along the clip (frozen.py says what it needs).
"""

import argparse
import csv
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from scipy.stats import t
from sklearn.model_selection import StratifiedGroupKFold

from cdb_video.system.csv_rows import write_csv

ROOT = Path(__file__).parents[1]
SCORES = ("mean class recall", "worst class recall", "mean class precision")
LOSSES = "cross_entropy,balanced_softmax,cdb_ce:tau=dynamic:momentum=0,cdb_ce,cdb_logit"
"""cdb_ce as the config has it is the safe form; the one before it the paper's."""
Scores = dict[str, list[dict[str, float]]]
"""Loss -> split -> score -> value."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="with the lists of clips")
    parser.add_argument("--block", default=r"_(\d{3})_", help="what stays together (REGEX)")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--losses", help="as for cdb-video compare")
    parser.add_argument("--cfg", default="configs/clips_cdb.yaml")
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("output/splits"))
    words, opts = parser.parse_known_args()
    clips = read_clips(words.root)
    splits = [deal(clips, words.block, seed) for seed in range(words.splits)]
    scores = frozen(clips, splits, words) if words.frozen else trained(clips, splits, words, opts)
    sizes = [len(part) for part in splits[0]]
    print(f"{len(splits)} splits, about {sizes[0]} training and {sizes[2]} test clips each")
    print("\n".join(table(scores, sizes[2] / sizes[0])))


def read_clips(root: Path) -> list[tuple[str, str]]:
    """(path, label) of all clips in the three lists."""
    rows = []
    for split in ("train", "val", "test"):
        with open(root / f"{split}.csv", newline="") as file:
            rows += [(one["path"], one["label"]) for one in csv.DictReader(file)]
    return rows


def deal(clips: Sequence[tuple[str, str]], block: str, seed: int) -> list[list[int]]:
    """Places of the clips of training, validation and test."""
    blocks = []
    for path, _ in clips:
        found = re.search(block, path)
        if not found:
            raise SystemExit(f"--block must match every path, got {block!r} and {path}")
        blocks.append(found[1])
    folds = StratifiedGroupKFold(n_splits=4, shuffle=True, random_state=seed)
    labels = [label for _, label in clips]
    parts = [fold.tolist() for _, fold in folds.split(labels, labels, blocks)]
    return [sorted(parts[2] + parts[3]), parts[1], parts[0]]


def trained(
    clips: Sequence[tuple[str, str]], splits: Sequence[Any], words: Any, opts: Sequence[str]
) -> Scores:
    """A network a loss and split, trained as ``words.cfg`` says."""
    scores: Scores = {}
    for number, parts in enumerate(splits):
        folder = (words.out / f"split_{number}").absolute()
        folder.mkdir(parents=True, exist_ok=True)
        # Paths in a list must lie under its folder.
        if not (folder / "source").exists():
            (folder / "source").symlink_to(words.root.absolute())
        for name, rows in zip(("train", "val", "test"), parts, strict=True):
            chosen = [(f"source/{clips[row][0]}", clips[row][1]) for row in rows]
            lines = [["path", "label"], *chosen]
            write_csv(folder / f"{name}.csv", lines, for_spreadsheets=False)
        own = ("DATA.CLIPS.ROOT", str(folder), "OUTPUT_DIR", str(folder), "RNG_SEED", str(number))
        command = ("--cfg", words.cfg, "--losses", words.losses or LOSSES, "--seeds", "1")
        compare = [sys.executable, "-m", "cdb_video", "compare"]
        subprocess.run([*compare, *command, *opts, *own], cwd=ROOT, check=True)
        with open(folder / "compare.csv", newline="") as file:
            for row in csv.DictReader(file):
                found = {name: float(row[name]) for name in SCORES}
                scores.setdefault(row["loss"], []).append(found)
    return scores


def frozen(clips: Sequence[tuple[str, str]], splits: Sequence[Any], words: Any) -> Scores:
    """A linear classifier a loss and split on features of an image network."""
    import torch
    from frozen import LOSSES_COMPARED, Features, see, train
    from safetensors.torch import load_file, save_file

    from cdb_video.data.decode import VideoReader

    def eight_frames(clip: str) -> Any:
        with VideoReader(str(words.root / clip)) as reader:
            wanted = np.linspace(0, reader.num_frames - 1, 8).round().astype(int)
            return reader.frames(wanted).transpose(0, 3, 1, 2)

    path = words.out / "features.safetensors"
    if not path.exists():
        frames = [eight_frames(clip) for clip, _ in clips]
        seen = see(np.concatenate(frames), "clips").unflatten(0, (len(clips), 8))
        times = torch.linspace(-1, 1, 8)[:, None]
        words.out.mkdir(parents=True, exist_ok=True)
        both = torch.cat([seen.mean(dim=1), (seen * times).mean(dim=1)], dim=1)
        save_file({"inputs": both.contiguous()}, path)
    names = sorted({label for _, label in clips})
    labels = torch.tensor([names.index(label) for _, label in clips])
    everything = Features(load_file(path)["inputs"], labels)
    scores: Scores = {}
    for seed, parts in enumerate(splits):
        own = [everything[torch.tensor(rows)] for rows in parts]
        for loss in (words.losses or LOSSES_COMPARED).split(","):
            found = train(loss, *own, seed)
            named = {name: found[name.replace(" ", "_")] for name in SCORES}
            scores.setdefault(loss, []).append(named)
    return scores


def table(scores: Scores, ratio: float) -> Iterator[str]:
    """Means over splits, and differences to the first loss with two 95 % intervals: of splits as
    if they shared no clips, and corrected for those they share.

    The latter is the corrected resampled t-test of Nadeau and Bengio (Machine Learning, 2003):
    the variance is that of the differences times ``1 / J + ratio`` for J splits.

    Args:
        ratio: of test clips to training clips.
    """
    first = next(iter(scores.values()))
    yield f"| loss | {' | '.join(f'{name} | minus the first' for name in SCORES)} |"
    yield "|---" * (1 + 2 * len(SCORES)) + "|"
    for loss, runs in scores.items():
        cells = []
        for name in SCORES:
            values = [run[name] for run in runs]
            cells.append(f"{100 * mean(values):.1f} ± {100 * stdev(values):.1f}")
            apart = [value - other[name] for value, other in zip(values, first, strict=True)]
            width = 100 * stdev(apart) * t.ppf(0.975, len(apart) - 1)
            share = 1 / len(apart)
            plain, corrected = (width * part**0.5 for part in (share, share + ratio))
            shown = f"{100 * mean(apart):+.1f} ± {plain:.1f} (corrected {corrected:.1f})"
            cells.append("" if runs is first else shown)
        yield f"| `{loss}` | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
