"""What all tests share: the rules for GPU tests, and a small set of real clips to train on."""

import os

import numpy as np
import pytest
import seeding
import torch
from hypothesis import HealthCheck, settings
from thread_count import threads
from videos import COLOURS, write_video

import cdb_video

NUM_CLIPS = {"train": (6, 3, 2), "val": (2, 2, 2), "test": (3, 2, 2)}


# The second by make test-faults; the first is always the same.
slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
common = {"deadline": None, "suppress_health_check": slow, "database": None}
settings.register_profile("quick", max_examples=60, derandomize=True, **common)
settings.register_profile("faults", max_examples=2000, **common)
settings.load_profile("quick")


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available() or os.environ.get("FAIL_WITHOUT_CUDA"):
        return
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


def pytest_configure(config):
    # A plugin, as hooks of this file are not called for fixtures of a session.
    config.pluginmanager.register(seeding)


@pytest.fixture(scope="session")
def colour_clips(tmp_path_factory):
    """A folder for the ``clips`` dataset: 8-frame videos, each in the colour of its class."""
    root = tmp_path_factory.mktemp("colour clips")
    rng = np.random.default_rng(0)
    for split, counts in NUM_CLIPS.items():
        rows = ["path,label"]
        for (name, colour), count in zip(COLOURS.items(), counts, strict=True):
            for number in range(count):
                path = f"{split} {name} {number}.mp4"
                shade = np.clip(np.array(colour) + rng.integers(-25, 26, 3), 0, 255)
                picture = np.full((32, 48, 3), shade, np.uint8)
                write_video(root / path, 8, (32, 48), "mpeg4", frame=lambda i, p=picture: p)
                rows.append(f"{path},{name}")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture
def tiny_yaml(tmp_path, colour_clips):
    """A YAML file that trains a very small network on ``colour_clips`` into ``tmp_path / out``."""
    path = tmp_path / "tiny.yaml"
    path.write_text(f"""
TRAIN: {{BATCH_SIZE: 4}}
TEST: {{BATCH_SIZE: 3}}
DATA:
  NAME: clips
  NUM_FRAMES: 3
  CROP_SIZE: 16
  MEAN: [115, 108, 99]
  STD: [60, 60, 60]
  CLIPS: {{ROOT: '{colour_clips}'}}
AUG: {{FLIP: 0.5, ROTATION: 5}}
MODEL: {{NAME: resnext3d, RESNEXT3D: {{STAGE_BLOCKS: [1, 1, 1, 1], WIDTH: 8, CARDINALITY: 2}}}}
LOSS: {{NAME: cdb_ce, CDB_CE: {{TAU: dynamic}}}}
SOLVER: {{BASE_LR: 0.02, MOMENTUM: 0.9, MAX_EPOCH: 4, STEPS: [0, 3], LRS: [1, 0.1]}}
DATA_LOADER: {{NUM_WORKERS: 0}}
DEVICE: cpu
LOG_PERIOD: 1
OUTPUT_DIR: '{tmp_path / "out"}'
""")
    return path


TINY = """
DATA: {{NAME: clips, NUM_FRAMES: 4, CROP_SIZE: 32, MEAN: [115, 108, 99], STD: [60, 60, 60],
       CLIPS: {{ROOT: "{root}"}}}}
MODEL: {{NAME: resnext3d, RESNEXT3D: {{STAGE_BLOCKS: [1, 1, 1, 1], WIDTH: 8, CARDINALITY: 2}}}}
SOLVER: {{MAX_EPOCH: 12, BASE_LR: 0.05, MOMENTUM: 0.9, STEPS: [0], LRS: [1]}}
TRAIN: {{BATCH_SIZE: 4, BEST_METRIC: mean_class_f1}}
BN: {{USE_PRECISE_STATS: true}}
DATA_LOADER: {{NUM_WORKERS: 0}}
DEVICE: cpu
OUTPUT_DIR: "{out}"
"""

VIEWS = ("TEST.NUM_ENSEMBLE_VIEWS", 2, "TEST.NUM_SPATIAL_CROPS", 3)


@pytest.fixture(scope="session")
def trained(tmp_path_factory, colour_clips):
    """OUTPUT_DIR of a run that was tested with 2 x 3 views of averaged logits."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY.format(root=colour_clips, out=folder / "out"))
    words = dict(zip(VIEWS[::2], VIEWS[1::2], strict=True))
    config = cdb_video.Config.load(
        folder / "tiny.yaml",
        {**words, "TEST.ENSEMBLE_METHOD": "logits", "DATA.CLIPS.ROOT": str(colour_clips)},
    )
    with threads(1):
        cdb_video.train(config)
        cdb_video.test(config)
    return folder / "out"


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    """4 s each of green, red and blue at 8 frames a second, and the same as an array."""
    pictures = np.concatenate(
        [np.full((32, 32, 48, 3), COLOURS[name], np.uint8) for name in ("green", "red", "blue")]
    )
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, 96, (32, 48), "mpeg4", fps=8, frame=lambda i: pictures[i])
    return path, pictures
