"""Two and three processes: the numbers of one, for data sets of any size, and errors of one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from models.small import SMALL_VIDEOMAE

from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError
from cdb_video.models import read_checkpoint

ROOT = Path(__file__).parents[2]
SIZES = (1, 2, 3, 7)
EVALUATE = """
import json, sys
import torch
from cdb_video import distributed, options
from cdb_video.engine.prepare.data import make_eval_loader
from cdb_video.engine.prepare.model import new_model
from cdb_video.engine.prepare.objective import make_losses
from cdb_video.outputs import Outputs
from cdb_video.engine.evaluate.scores import evaluate
from cdb_video.data.lists.splits import Split, Splits
from cdb_video.metrics.groups import Grouping
from cdb_video.registry import DATASETS

config_file, out = sys.argv[1:3]
config = options.load(config_file)
device = torch.device("cpu")
with distributed.process_group(device):
    found = {}
    for size in map(int, sys.argv[3:]):
        dataset = DATASETS.get(config.data.name)(config.data.options)
        clips = dataset.records("train")[::2] + dataset.records("train")[1::2]
        dataset.records = lambda name: clips[:size]
        splits = Splits(dataset, ["val", "train"])
        outputs = Outputs(splits.class_names)
        model = new_model(config, outputs, device)
        (loss,) = make_losses(config, splits, outputs)
        loader = make_eval_loader(config, splits, "val", device)
        result = evaluate(model, loader, splits.labels("val"))
        loss.observe(*result.recalls.classes)
        grouping = Grouping(["g"] * 3, ("g",), "")
        metrics = result.metrics(["a", "b", "c"], grouping)
        state = loss.class_state(2)
        found[size] = [metrics, state.difficulty.tolist(), state.weight.tolist(), state.tau]
    if distributed.is_main():
        with open(out, "w") as file:
            json.dump(found, file)
"""


def launch(command, processes, folder, **more):
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", processes]
    return subprocess.run(
        list(map(str, [*launcher, *command])),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1", **more},
    )


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_numbers_are_those_of_one_process_for_any_number_of_clips(tiny_yaml, tmp_path, count):
    """Fewer clips than processes among them."""
    script = tmp_path / "evaluate.py"
    script.write_text(EVALUATE)
    found = {}
    for processes in (1, count):
        out = tmp_path / f"{processes}.json"
        done = launch([script, tiny_yaml, out, *SIZES], processes, tmp_path)
        assert done.returncode == 0, done.stderr
        found[processes] = json.loads(out.read_text())
    assert [found[1][str(size)][0]["num_samples"] for size in SIZES] == list(SIZES)
    assert found[count] == found[1]


@pytest.mark.slow
def test_fewer_training_clips_than_processes_train(tiny_yaml, tmp_path, colour_clips):
    root = tmp_path / "two"
    shutil.copytree(colour_clips, root)
    lines = (root / "train.csv").read_text().splitlines()
    (root / "train.csv").write_text("\n".join([lines[0], lines[1], lines[-1]]) + "\n")
    words = ["--cfg", tiny_yaml, "DATA.CLIPS.ROOT", root, "SOLVER.MAX_EPOCH", 1]
    words += ["SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]", "TRAIN.BATCH_SIZE", 3]
    # A picture of 16 x 16 leaves batch norm a single value: one line, and no process hangs.
    done = launch([ROOT / "tools" / "train_net.py", *words], 3, tmp_path)
    assert done.returncode != 0
    assert "error: TRAIN.BATCH_SIZE must give batch norm more than one value" in done.stderr
    words += ["DATA.CROP_SIZE", 64]
    done = launch([ROOT / "tools" / "train_net.py", *words], 3, tmp_path)
    assert done.returncode == 0, done.stderr


TRAIN = ROOT / "tools" / "train_net.py"
TEST = ROOT / "tools" / "test_net.py"


def weights(folder):
    return read_checkpoint(folder / "checkpoints" / "latest.pt")["model_state"]


@pytest.mark.slow
def test_options_of_parallel_training_leave_the_weights_what_they_are(tiny_yaml, tmp_path):
    words = [TRAIN, "--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 1, "OUTPUT_DIR"]
    views = ["PARALLEL.STATIC_GRAPH", "true", "PARALLEL.GRADIENT_AS_BUCKET_VIEW", "true"]
    for name, more in (("plain", []), ("views", views), ("half", ["PARALLEL.COMPRESS", "fp16"])):
        done = launch([*words, tmp_path / name, *more], 2, tmp_path)
        assert done.returncode == 0, done.stderr
    plain, half = weights(tmp_path / "plain"), weights(tmp_path / "half")
    for name, tensor in weights(tmp_path / "views").items():
        assert torch.equal(tensor, plain[name]), name
    off = (half["conv1.weight"] - plain["conv1.weight"]).abs().max()
    assert 0 < off < 0.1 * plain["conv1.weight"].abs().max()
    done = launch([*words, tmp_path / "no", "PARALLEL.COMPRESS", "bf16"], 2, tmp_path)
    assert "error: PARALLEL.COMPRESS bf16 needs NCCL" in done.stderr


SHARDED = ["PARALLEL.FULLY_SHARD", "true"]


def train_each(words, folder, runs):
    """Each run: its folder, its processes, its epochs, more words; the same folder goes on."""
    for name, processes, epochs, more in runs:
        out = ["OUTPUT_DIR", folder / name, "SOLVER.MAX_EPOCH", epochs, *more]
        done = launch([TRAIN, *words, *out], processes, folder)
        assert done.returncode == 0, done.stderr


def assert_ends_as_plain(folder, names, parts):
    plain = read_checkpoint(folder / "plain" / "checkpoints" / "latest.pt")
    for name in names:
        other = read_checkpoint(folder / name / "checkpoints" / "latest.pt")
        for part in parts:
            torch.testing.assert_close(other[part], plain[part], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_sharded_parameters_train_to_the_same_checkpoint(tiny_yaml, tmp_path):
    """With an average, accumulation, clipped gradients and validation parts of unlike sizes."""
    words = ["--cfg", tiny_yaml, "MODEL.FROZEN_BN", "true", "TRAIN.EMA_DECAY", 0.5]
    words += ["SOLVER.ACCUMULATION_STEPS", 2, "SOLVER.CLIP_GRAD_L2NORM", 0.5]
    words += ["TRAIN.ON_NAN", "skip", "MODEL.ACT_CHECKPOINT", "true"]
    runs = [
        ("plain", 2, 4, []),
        ("sharded", 2, 4, SHARDED),
        ("changed", 2, 2, SHARDED),
        ("changed", 1, 3, []),
        ("changed", 2, 4, SHARDED),
    ]
    train_each(words, tmp_path, runs)
    parts = ("model_state", "average_state", "optimizer_state", "loss_state")
    assert_ends_as_plain(tmp_path, ("sharded", "changed"), parts)
    done = launch(
        [TEST, "--cfg", tiny_yaml, "MODEL.FROZEN_BN", "true", "OUTPUT_DIR", tmp_path / "sharded"],
        1,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("light", [("LORA_RANK", 2), ("ADAPTER_DIM", 3)])
def test_light_tuning_of_sharded_parameters_ends_with_the_same_checkpoint(
    tiny_yaml, tmp_path, light
):
    option, size = light
    words = ["--cfg", tiny_yaml, *SMALL_VIDEOMAE, f"MODEL.{option}", size]
    words += ["SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"]
    runs = [
        ("plain", 2, 2, []),
        ("sharded", 2, 2, SHARDED),
        ("changed", 2, 1, SHARDED),
        ("changed", 2, 2, []),
    ]
    train_each(words, tmp_path, runs)
    assert_ends_as_plain(tmp_path, ("sharded", "changed"), ("model_state", "optimizer_state"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clips", "said"), [(4, "the loss is nan; clips: "), (12, "are not finite: the weights have")]
)
def test_a_sharded_run_that_overflows_ends_on_every_process(tiny_yaml, tmp_path, clips, said):
    words = [TRAIN, "--cfg", tiny_yaml, "MODEL.FROZEN_BN", "true", *SHARDED]
    words += ["TRAIN.BATCH_SIZE", clips, "SOLVER.BASE_LR", "1e38"]
    done = launch(words, 2, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count(said) == 2, done.stderr
    assert "replay-batch" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "without batch norm, or MODEL.FROZEN_BN true, got resnext3d"),
        (["MODEL.FROZEN_BN", "true", "TRAIN.PRECISION", "fp16"], "in TRAIN.PRECISION fp32, tf32"),
        (["PARALLEL.STATIC_GRAPH", "true"], "needs STATIC_GRAPH false"),
    ],
)
def test_what_cannot_be_sharded_is_refused(configured, words, said):
    with pytest.raises(ConfigError, match=said):
        train(configured("out", *SHARDED, *words))


@pytest.mark.slow
def test_two_machines_are_two_agents(tiny_yaml, tmp_path):
    """Each with its own torchrun and processes, which meet at an address, as in multi_node.md."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    meet = ["--nnodes", 2, "--nproc_per_node", 1, "--rdzv_backend", "c10d", "--rdzv_id", "job7"]
    meet += ["--rdzv_endpoint", f"127.0.0.1:{port}", "--local_addr", "127.0.0.1"]
    words = [TRAIN, "--cfg", tiny_yaml, "SOLVER.MAX_EPOCH", 1, "OUTPUT_DIR"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    agents = [
        subprocess.Popen(
            [*map(str, [sys.executable, "-m", "torch.distributed.run", *meet, *words])]
            + [str(tmp_path / "agents")],
            cwd=tmp_path,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [agent.communicate(timeout=200)[1] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], said
    assert sum("training and" in one for one in said) == 1
    done = launch([*words, tmp_path / "one"], 2, tmp_path)
    assert done.returncode == 0, done.stderr
    expected = weights(tmp_path / "one")
    for name, tensor in weights(tmp_path / "agents").items():
        assert torch.equal(tensor, expected[name]), name


def test_the_error_of_one_process_ends_all_and_is_told(tiny_yaml, tmp_path, colour_clips):
    root = tmp_path / "damaged"
    shutil.copytree(colour_clips, root)
    (root / "train red 1.mp4").write_bytes(b"no video")
    words = ["--cfg", tiny_yaml, "DATA.CLIPS.ROOT", root, "DATA.ON_BAD_CLIP", "stop"]
    begun = time.monotonic()
    done = launch([ROOT / "tools" / "train_net.py", *words], 2, tmp_path)
    assert time.monotonic() - begun < 60
    assert done.returncode != 0
    assert "train red 1.mp4: it is text" in done.stderr
    # The others say in one line that they have lost it, or were ended before they could.
    assert f'File "{ROOT}/cdb_video' not in done.stderr, done.stderr
