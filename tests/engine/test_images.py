"""Images run as clips do: those that come in one piece, and files that a CSV list names."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.prepare.data import make_eval_loader, read_splits
from cdb_video.engine.retrain.retrain import retrain
from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError, DataError, DecodeError
from cdb_video.models import read_checkpoint

MODEL = ("MODEL.NAME", "resnet_cifar", "MODEL.RESNET_CIFAR.DEPTH", 8)
MODEL += ("MODEL.RESNET_CIFAR.WIDTH", 4, "DATA.NUM_FRAMES", 1, "DATA.CROP_SIZE", 12)
LEARN = ("SOLVER.OPTIMIZING_METHOD", "adamw", "SOLVER.BASE_LR", 1e-2, "LOSS.NAME", "cross_entropy")
LEARN += ("SOLVER.LR_POLICY", "cosine", "SOLVER.MAX_EPOCH", 40, "TRAIN.EVAL_PERIOD", 40)
TENSORS = ("IMPORTS", "[in_memory]", "DATA.NAME", "in_memory", *MODEL, "AUG.PAD", 2)


def test_images_in_memory_are_learnt_and_tested(configured):
    config = configured("out", *TENSORS, *LEARN)
    train(config)
    metrics = run_test(config)
    assert metrics["top1"] > 0.8
    with open(f"{config.output_dir}/test/predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [f"test, {number}" for number in range(7)]
    assert [row["label"] for row in rows] == ["0", "0", "0", "1", "1", "2", "2"]


def test_views_of_square_images_change_nothing(configured):
    views = ("TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3)
    config = configured("out", *TENSORS)
    train(config)
    scores = []
    for words in ((), views):
        run_test(configured("out", *TENSORS, *words))
        with open(f"{config.output_dir}/test/predictions.csv", newline="") as file:
            scores.append([float(row["score_0"]) for row in csv.DictReader(file)])
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_run_on_images_in_memory_resumes_bit_equal(configured):
    whole, cut = configured("whole", *TENSORS), configured("cut", *TENSORS)
    train(whole)
    train(configured("cut", *TENSORS, "SOLVER.MAX_EPOCH", 2, "SOLVER.STEPS", "[0, 3]"))
    train(cut)
    states = [
        read_checkpoint(f"{config.output_dir}/checkpoints/latest.pt") for config in (whole, cut)
    ]
    for name, value in states[0]["model_state"].items():
        assert torch.equal(value, states[1]["model_state"][name]), name


def test_a_classifier_is_retrained_on_images_in_memory(configured):
    config = configured("out", *TENSORS, "RETRAIN.METHOD", "ncm")
    train(config)
    retrain(config)
    metrics = json.loads(Path(f"{config.output_dir}/ncm/test/metrics.json").read_text())
    assert metrics["num_samples"] == 7


@pytest.fixture
def listed(tmp_path, configured):
    """(*words) -> Config of a run on PNG files in CSV lists."""
    configured("unused", *TENSORS)  # registers in_memory
    from in_memory import InMemory

    dataset = InMemory(InMemory.Options())
    root = tmp_path / "pictures"
    root.mkdir()
    for split in ("train", "val", "test"):
        lines = ["path,label"]
        for number, record in enumerate(dataset.records(split)):
            lines.append(f"{split} {number}.png,{dataset.class_names[record.label]}")
            pixels = dataset.images(split)[number].transpose(1, 2, 0)[:, :, ::-1]
            assert cv2.imwrite(str(root / f"{split} {number}.png"), pixels)
        (root / f"{split}.csv").write_text("\n".join(lines) + "\n")
    return lambda *words: configured("out", "DATA.CLIPS.ROOT", root, *MODEL, *words)


def test_image_files_give_the_clips_that_images_in_memory_give(configured, listed):
    cpu = torch.device("cpu")
    for words in ((), ("DATA.CROP_SIZE", 24), ("DATA.NUM_FRAMES", 3)):
        batches = []
        for config in (listed(*words), configured("out", *TENSORS, *words)):
            clips = read_splits(config, "val")
            batches.append(list(make_eval_loader(config, clips, "val", cpu).batches()))
        for one, other in zip(*batches, strict=True):
            assert torch.equal(one.label, other.label)
            assert torch.equal(one.index, other.index)
            assert (one.video.int() - other.video.int()).abs().max() <= 2


def test_image_files_are_learnt_and_tested(listed):
    config = listed("AUG.PAD", 2, *LEARN)
    train(config)
    assert run_test(config)["top1"] > 0.8


def test_image_files_that_are_missing_or_broken_are_named(listed, tmp_path):
    broken = tmp_path / "pictures" / "train 4.png"
    broken.write_bytes(broken.read_bytes()[:50])
    stop = ("DATA.ON_BAD_CLIP", "stop")
    with pytest.raises(DecodeError, match=r"train 4\.png: no image that OpenCV can decode"):
        train(listed(*stop))
    broken.unlink()
    with pytest.raises(DataError, match=r"1 of 11 clips are missing .*: train 4\.png"):
        train(listed(*stop))


def test_data_in_the_place_of_a_test_is_never_touched(configured, tmp_path):
    """OUTPUT_DIR is the root of an image folder, whose clips lie where tests are written."""
    root = tmp_path / "mine"
    for split in ("train", "val", "test"):
        for name, shade in (("dark", 40), ("light", 200)):
            for number in range(3):
                path = root / split / name / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                assert cv2.imwrite(str(path), np.full((12, 12, 3), shade + number, np.uint8))
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    data = ("DATA.NAME", "image_folder", "DATA.IMAGE_FOLDER.ROOT", root, *MODEL)
    elsewhere = configured("elsewhere", *data, "SOLVER.MAX_EPOCH", 1)
    train(elsewhere)
    best = f"{elsewhere.output_dir}/checkpoints/best.pt"
    shutil.copytree(root, tmp_path / "link")
    words = (*data, "OUTPUT_DIR", root)
    for use, more in (
        (run_test, ("TEST.CHECKPOINT_FILE_PATH", best)),
        (train, ()),
        (train, ("TRAIN.AUTO_RESUME", "false")),
    ):
        with pytest.raises(ConfigError, match="OUTPUT_DIR must be another folder than the data's"):
            use(configured("unused", *words, *more))
        # Also where the data is another's, and lies in the place of the test.
        moved = ("DATA.IMAGE_FOLDER.ROOT", tmp_path / "link")
        with pytest.raises(ConfigError, match="OUTPUT_DIR/test must hold the files of a test and"):
            use(configured("unused", *words, *moved, *more))
        assert sorted(path.relative_to(root) for path in root.rglob("*")) == before
