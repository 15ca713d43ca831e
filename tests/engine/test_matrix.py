"""Every loss with every sampler, way of mixing and kind of heads: two steps, or one line."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from cdb_video import options
from cdb_video.data.batches.batch import Batch
from cdb_video.data.lists.records import Record
from cdb_video.data.lists.splits import Split, Splits
from cdb_video.engine.prepare.objective import make_objective
from cdb_video.engine.prepare.task import Task, outputs_of
from cdb_video.engine.train.forward import forward, mostly_own
from cdb_video.engine.train.seen import Seen
from cdb_video.errors import ConfigError
from cdb_video.models import Architecture, build, build_model
from cdb_video.models.tuning.light import train_additions_only
from cdb_video.outputs import Output
from cdb_video.registry import BACKBONES, LOSSES, MIXERS, SAMPLERS

CPU = torch.device("cpu")
LABELS = np.array([0] * 24 + [1] * 8 + [2] * 5 + [3] * 3)
ROOT = Path(__file__).parents[2]


class Four:
    """Four actions of two verbs and two nouns, 40 clips."""

    class_names = ("a", "b", "c", "d")
    outputs = (
        Output("verb", ["x", "y"], [0, 0, 1, 1]),
        Output("noun", ["u", "v"], [0, 1, 0, 1]),
    )

    def split(self, name):
        return Split([Record(f"{name} {n}", int(label)) for n, label in enumerate(LABELS)])


def config_of(tmp_path, **sections):
    tree = {"DATA": {"NAME": "clips"}, **sections}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(tree))
    return options.load(tmp_path / "one.yaml")


def two_steps(config, splits):
    outputs = outputs_of(config, splits)
    losses, sampler, mixer = make_objective(config, Task(splits, None, outputs, None), CPU)
    lenet = BACKBONES.get("lenet").Options()
    model = build(Architecture(name="lenet", options=lenet), outputs)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    seen = Seen(outputs, CPU)
    for epoch in (1, 2):
        losses.start_epoch(epoch)
        order = sampler.indices(epoch)[:8]
        labels = torch.from_numpy(LABELS[order])
        video = torch.randint(0, 256, (8, 3, 2, 28, 28), dtype=torch.uint8)
        batch = Batch(video, labels, torch.from_numpy(order))
        logits, target = forward(model, model, mixer, batch)
        value = losses(logits, target)
        assert value.isfinite()
        value.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        seen.add(epoch, batch, logits, value, mostly_own(target, labels))
        seen.end_step()
        _, recalls = seen.take()
        losses.observe(recalls.outputs)
        for one in (sampler, mixer):
            one.observe(*recalls.classes)
    return losses


def in_turn(loss, mix, heads):
    """One sampler for each cell, so that each pair of parts still meets."""
    places = LOSSES.names().index(loss), MIXERS.names().index(mix), heads == "parts"
    return [SAMPLERS.names()[sum(places) % len(SAMPLERS.names())]]


@pytest.mark.parametrize("heads", ["one", "parts"])
@pytest.mark.parametrize("mix", MIXERS.names())
@pytest.mark.parametrize("loss", LOSSES.names())
@pytest.mark.parametrize(
    "samplers",
    [
        pytest.param(in_turn, id="one sampler"),
        pytest.param(lambda *_: SAMPLERS.names(), id="all samplers", marks=pytest.mark.slow),
    ],
)
def test_a_cell(tmp_path, samplers, loss, mix, heads):
    splits = Splits(Four(), ["train", "val"])
    refused = loss in ("ldam", "equalization") and mix != "none"
    for sampler in samplers(loss, mix, heads):
        config = config_of(
            tmp_path,
            LOSS={"NAME": loss},
            MIX={"NAME": mix},
            SAMPLER={"NAME": sampler},
            MODEL={"HEADS": heads},
        )
        if refused:
            with pytest.raises(ConfigError, match=f"LOSS.NAME {loss} needs one true class"):
                two_steps(config, splits)
        else:
            two_steps(config, splits)


@pytest.mark.parametrize("loss", ["cdb_ce", "cdb_logit"])
@pytest.mark.parametrize("source", ["val", "train"])
@pytest.mark.parametrize("mix", ["none", "mixup", "lmr"])
@pytest.mark.parametrize("heads", ["one", "parts"])
def test_cdb_with_each_source_of_difficulty(tmp_path, loss, source, mix, heads):
    config = config_of(
        tmp_path,
        LOSS={"NAME": loss, loss.upper(): {"SOURCE": source}},
        MIX={"NAME": mix},
        MODEL={"HEADS": heads},
    )
    losses = two_steps(config, Splits(Four(), ["train", "val"]))
    states = losses.class_states(3)
    assert [len(state.difficulty) for state in states] == ([4] if heads == "one" else [2, 2])
    assert all((state.difficulty <= 1).all() for state in states)
    assert losses.source == source


@pytest.mark.parametrize("loss", LOSSES.names())
def test_light_tuning(loss):
    sizes = {"num_frames": 4, "crop_size": 32, "hidden_size": 24, "num_layers": 1, "num_heads": 2}
    model = build_model("videomae", 4, adapter_dim=2, **sizes)
    train_additions_only(model)
    kind = LOSSES.get(loss)
    one = kind(kind.Options(), num_classes=4, class_counts=torch.tensor([9, 4, 2, 1]))
    video = torch.randint(0, 256, (3, 3, 4, 32, 32), dtype=torch.uint8)
    one(model(video), torch.tensor([0, 1, 3])).backward()
    learning = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_the_matrix_in_the_docs_names_every_loss():
    text = (ROOT / "docs" / "losses.md").read_text().split("## What goes with what")[1]
    rows = dict(re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| (\w+) \|", text, re.M))
    assert rows == {
        name: "any" if LOSSES.get(name).accepts_soft_targets else "none" for name in LOSSES.names()
    }
