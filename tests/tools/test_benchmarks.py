"""The configs of the field's benchmarks, from lists and files as archives unpack, in small."""

import json

import numpy as np
import pytest
from video_lists import write
from videos import write_video

from cdb_video.commands import main

CLASSES = ("ApplyEyeMakeup", "Archery", "YoYo")
COUNTS = {"ApplyEyeMakeup": 8, "Archery": 6, "YoYo": 4}
SMALL = ["DATA.NUM_FRAMES", 4, "DATA.CROP_SIZE", 32, "MODEL.PRETRAINED", "", "AUG.NUM_SAMPLE", 2]
for key, value in {"NUM_FRAMES": 4, "CROP_SIZE": 32, "HIDDEN_SIZE": 24, "NUM_HEADS": 2}.items():
    SMALL += [f"MODEL.VIDEOMAE.{key}", value]
SMALL += ["MODEL.VIDEOMAE.NUM_LAYERS", 2, "MODEL.FREEZE_STAGES", 1, "TRAIN.BATCH_SIZE", 4]
SMALL += ["SOLVER.MAX_EPOCH", 1, "SOLVER.WARMUP_EPOCHS", 0, "DATA_LOADER.NUM_WORKERS", 0]
SMALL += ["TEST.NUM_ENSEMBLE_VIEWS", 2, "DEVICE", "cpu", "NUM_THREADS", 1]


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory):
    """UCF101 in small: .avi files of three classes, groups 1 to 25 by number."""
    root = tmp_path_factory.mktemp("ucf101")
    lists = root / "ucfTrainTestlist"
    write(lists / "classInd.txt", "".join(f"{n} {c}\n" for n, c in enumerate(CLASSES, 1)))
    train, test = [], []
    for number, name in enumerate(CLASSES, 1):
        groups = [*range(8, 8 + COUNTS[name]), 24, 25]
        for group in (1, 2, *groups):
            clip = f"{name}/v_{name}_g{group:02}_c01.avi"
            path = root / "UCF-101" / clip
            path.parent.mkdir(parents=True, exist_ok=True)
            shade = np.full((48, 64, 3), (60 * number, 9 * group, 120), np.uint8)
            write_video(path, 12, (48, 64), "mpeg4", fps=25, frame=lambda i, s=shade: s + i)
            (test if group < 3 else train).append(clip if group < 3 else f"{clip} {number}")
    write(lists / "trainlist01.txt", "\n".join(train) + "\n")
    write(lists / "testlist01.txt", "\n".join(test) + "\n")
    return root


def run(*words):
    return main([*map(str, words)])


def metrics(folder):
    return json.loads((folder / "test" / "metrics.json").read_text())


def test_ucf101_is_drawn_trained_tested_and_retrained(ucf101, tmp_path, capsys):
    drawn, out = tmp_path / "lt", tmp_path / "out"
    words = ["--cfg", "configs/ucf_lt/ucf101.yaml", "--out", drawn, "--ratio", 4]
    assert run("make-long-tail", *words, "--profile", "pareto", "DATA.UCF101.ROOT", ucf101) == 0
    assert "13 of 18 training clips" in capsys.readouterr().out
    words = ["--cfg", drawn / "config.yaml", *SMALL, "OUTPUT_DIR", out]
    assert run("train", *words) == 0
    assert run("test", *words) == 0
    found = metrics(out)
    assert found["num_samples"] == 6
    assert set(found["groups"]) == {"fewshot", "head"}
    assert sum(group["num_samples"] for group in found["groups"].values()) == 6
    assert found["group_rule"].startswith("as in ")
    assert run("retrain", *words, "METHOD", "lmr", "RETRAIN.MAX_EPOCH", 2) == 0
    assert metrics(out / "lmr")["num_samples"] == 6
    page = (out / "report.html").read_text()
    assert "Head length H" in page


@pytest.mark.slow
def test_the_lists_of_gen2balance_run_on_ucf101_s_files(ucf101, tmp_path):
    """Its paths end in .mp4, UCF101's in .avi; the groups are in a file of its own."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "UCF-101").symlink_to(ucf101 / "UCF-101")
    lines = {"train": [], "test": []}
    for label, name in enumerate(CLASSES):
        for path in sorted((ucf101 / "UCF-101" / name).iterdir()):
            split = "test" if path.stem[-6:-4] in ("01", "02") else "train"
            lines[split].append(f"{name}/{path.stem}.mp4 {label}")
    for split, some in lines.items():
        write(root / f"{split}.csv", "\n".join(some) + "\n")
    write(root / "names.txt", "\n".join(CLASSES) + "\n")
    write(root / "lt_mapping.json", dict(zip(CLASSES, ("head", "tail", "fewshot"), strict=True)))
    out = tmp_path / "out"
    words = ["--cfg", "configs/ucf_lt/videomae.yaml", *SMALL, "OUTPUT_DIR", out]
    words += ["DATA.LIST.ROOT", root, "DATA.LIST.CLASS_NAMES", "names.txt"]
    words += ["GROUPS.NAME", "file", "GROUPS.FILE.PATH", root / "lt_mapping.json"]
    assert run("train", *words) == 0
    assert run("test", *words) == 0
    found = metrics(out)
    assert {name: group["num_classes"] for name, group in found["groups"].items()} == {
        "head": 1,
        "tail": 1,
        "fewshot": 1,
    }
