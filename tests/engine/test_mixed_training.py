"""Training with mixing: every way at every level, resumed to the bit, among processes."""

import pytest
import torch
from test_processes import launch

from cdb_video.engine.train.loop import train
from cdb_video.errors import ConfigError
from cdb_video.models import read_checkpoint
from cdb_video.output.run_folder import RunFolder
from cdb_video.registry import MIXERS

SHORT = ("SOLVER.MAX_EPOCH", 2, "SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]")
CASES = [(name, level) for name in MIXERS.names() for level in MIXERS.get(name).levels]


@pytest.mark.parametrize(("name", "level"), CASES)
def test_every_way_trains(configured, name, level):
    config = configured("out", "MIX.NAME", name, "MIX.LEVEL", level, *SHORT)
    train(config)
    records, _ = RunFolder(config.output_dir).records()
    losses = [r["loss"] for r in records if r["kind"] == "train_epoch"]
    assert len(losses) == 2
    assert all(0 < loss < 20 for loss in losses)


def test_without_mixing_a_run_is_what_it_was(configured):
    """To the bit: bytes go to the network, labels to the loss."""
    train(configured("plain", *SHORT))
    train(configured("none", "MIX.NAME", "none", *SHORT))
    one, other = (
        read_checkpoint(RunFolder(configured(name).output_dir).latest)["model_state"]
        for name in ("plain", "none")
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("name", ["mixup", "framestack", "lmr"])
def test_a_run_that_goes_on_is_the_same_run(configured, name):
    words = ("MIX.NAME", name, "LOSS.CDB_CE.SOURCE", "train", "SOLVER.STEPS", "[0]")
    words += ("SOLVER.LRS", "[1]", "SAMPLER.NAME", "class_balanced")
    train(configured("whole", *words, "SOLVER.MAX_EPOCH", 3))
    train(configured("parts", *words, "SOLVER.MAX_EPOCH", 1))
    train(configured("parts", *words, "SOLVER.MAX_EPOCH", 3))
    one, other = (
        read_checkpoint(RunFolder(configured(name).output_dir).latest)["model_state"]
        for name in ("whole", "parts")
    )
    for key, tensor in one.items():
        assert torch.equal(tensor, other[key]), key


@pytest.mark.parametrize("loss", ["ldam", "equalization"])
def test_a_loss_of_one_true_class_is_refused(configured, loss):
    with pytest.raises(ConfigError, match=rf"LOSS.NAME {loss} needs one true class a clip"):
        train(configured("out", "MIX.NAME", "mixup", "LOSS.NAME", loss))


def test_a_level_that_cannot_be_is_refused(configured):
    with pytest.raises(ConfigError, match="MIX.LEVEL must be feature for MIX.NAME lmr, got input"):
        train(configured("out", "MIX.NAME", "lmr", "MIX.LEVEL", "input"))


BANK = """
import torch
from cdb_video import distributed
from cdb_video.registry import MIXERS

with distributed.process_group(torch.device("cpu")):
    kind = MIXERS.get("lmr")
    counts = torch.tensor([100, 40, 10])
    options = kind.Options(probability=0.0, few_shot=20, bank=2)
    mixer = kind(options, num_classes=3, class_counts=counts)
    whole = kind(options, num_classes=3, class_counts=counts)
    rank, size = distributed.rank(), distributed.world_size()
    mine = slice(3 * rank, 3 * rank + 3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        features = torch.randn(3 * size, 5, generator=generator)
        labels = torch.randint(3, (3 * size,), generator=generator)
        mixed, _ = mixer(features[mine], labels[mine])
        bank = distributed.all_of
        distributed.all_of = lambda tensor: tensor
        count, number = distributed.world_size, distributed.rank
        distributed.world_size, distributed.rank = (lambda: 1), (lambda: 0)
        expected, _ = whole(features, labels)
        distributed.all_of, distributed.world_size, distributed.rank = bank, count, number
        torch.testing.assert_close(mixed, expected[mine])
    print("equal")
"""


@pytest.mark.slow
def test_lmr_s_bank_is_that_of_all_processes(tmp_path):
    (tmp_path / "bank.py").write_text(BANK)
    done = launch([tmp_path / "bank.py"], 2, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal") == 2
