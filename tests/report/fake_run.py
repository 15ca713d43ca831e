"""An OUTPUT_DIR as a run leaves it, made from random predictions through the real metrics."""

import csv
import json

import numpy as np

from cdb_video.metrics import (
    classification_metrics,
    confusion_rows,
    group_classes,
    per_class_table,
    recall_per_class,
)

CONFIG = """\
OUTPUT_DIR: out/demo
MODEL: {NAME: resnext3d, RESNEXT3D: {DEPTH: 101}}
LOSS:
  NAME: cdb_ce
  CDB_CE: {TAU: dynamic}
"""
GROUPS = ("minority", "majority")
VERBS = [
    "Inspect/Read",
    "Open",
    "Take",
    "Cut",
    "Turn on",
    "Put",
    "Operate",
    "Close",
    "Move Around",
    "Wash",
    "Spread",
    "Turn off",
    "Divide/Pull Apart",
    "Clean/Wipe",
    "Mix",
    "Pour",
    "Compress",
    "Crack",
    "Squeeze",
]
DIFFICULTY = ["epoch", "class", "name", "n_val", "recall", "difficulty", "weight", "tau"]


class FakeRun:
    """A long-tailed problem with K classes; the rarer a class, the seldomer it is recognised."""

    def __init__(self, folder, num_classes, *, names=None, samples=2000, seed=0):
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.num_classes = num_classes
        self.names = names or [
            VERBS[c] if num_classes <= 19 else f"{VERBS[c % 19]} thing {c}"
            for c in range(num_classes)
        ]
        self.share = self.rng.permutation(0.95 ** np.arange(0, 90, 90 / num_classes))
        self.share /= self.share.sum()
        self.counts = np.maximum(1, (8000 * self.share).astype(int))
        self.samples = samples
        folder.mkdir(parents=True)

    def scores(self, target, skill):
        noise = self.rng.gumbel(size=(len(target), self.num_classes))
        logits = noise + np.log(self.share) + skill * np.eye(self.num_classes)[target]
        odds = np.exp(logits)
        return odds / odds.sum(axis=1, keepdims=True)

    def draw(self, samples):
        return self.rng.choice(self.num_classes, samples, p=self.share)

    def write_training(self, epochs=20, difficulty=True):
        (self.folder / "config.yaml").write_text(CONFIG)
        rows, records = [], []
        for epoch in range(1, epochs + 1):
            target = self.draw(1500)
            prediction = self.scores(target, 3.5 * epoch / (epoch + 6)).argmax(axis=1)
            recall, counts = recall_per_class(target, prediction, self.num_classes)
            tau = float(2 / (1 + np.exp(1 - recall.max() / (recall.min() + 0.01))))
            weights = (1 - recall) ** tau
            weights *= self.num_classes / weights.sum()
            rows += [
                (epoch, c, self.names[c], counts[c], recall[c], 1 - recall[c], weights[c], tau)
                for c in range(self.num_classes)
            ]
            numbers = classification_metrics(target, prediction, self.num_classes)
            kept = ("top1", "mean_class_recall", "mean_class_precision", "mean_class_f1")
            loss = 2.5 / (epoch + 1) ** 0.4
            lr = 1e-3 if epoch <= 0.6 * epochs else 1e-4
            records += [
                {"kind": "train_step", "epoch": epoch, "step": epoch * 10, "loss": loss, "lr": lr},
                {"kind": "train_epoch", "epoch": epoch, "loss": loss, "lr": lr, "top1": 0.4},
                {"kind": "val", "epoch": epoch, "loss": loss * 1.2}
                | {key: numbers[key] for key in kept},
            ]
        with (self.folder / "log.jsonl").open("w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        if difficulty:
            write_csv(self.folder / "difficulty.csv", [DIFFICULTY, *rows])

    def write_test(self):
        folder = self.folder / "test"
        folder.mkdir()
        target = self.draw(self.samples)
        scores = self.scores(target, 3)
        prediction = scores.argmax(axis=1)
        groups = group_classes(self.counts, "mean", GROUPS)
        labels = (target, prediction, self.num_classes)
        metrics = classification_metrics(
            *labels, scores=scores, class_names=self.names, groups=groups, group_names=GROUPS[::-1]
        )
        metrics |= {
            "split": "test",
            "views": {"temporal": 1, "spatial": 1},
            "checkpoint": "out/demo/checkpoints/best.pt",
        }
        (folder / "metrics.json").write_text(json.dumps(metrics))
        rows = per_class_table(
            *labels, class_names=self.names, train_counts=self.counts, groups=groups
        )
        write_csv(folder / "per_class.csv", [list(rows[0]), *(row.values() for row in rows)])
        write_csv(folder / "confusion.csv", confusion_rows(*labels, class_names=self.names))
        write_csv(
            folder / "predictions.csv",
            [
                ("index", "path", "start", "end", "label", "predicted", "score"),
                *(
                    (i, f"clips/P{i % 26:02d}/clip_{i}.mp4", "1.5", "3.25", t, p, scores[i, p])
                    for i, (t, p) in enumerate(zip(target, prediction, strict=True))
                ),
            ],
        )
        return metrics


def write_csv(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
