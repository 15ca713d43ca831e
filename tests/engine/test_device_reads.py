"""Within a step nothing is read from the device, for which the host would have to wait.

The device is torch's ``meta``, which computes shapes alone: a tensor on it has no value to read.
"""

from itertools import islice

import pytest
import torch
from models.small import SMALL

from cdb_video.engine.train.run import prepare
from cdb_video.models import build_model
from cdb_video.registry import BACKBONES, LOSSES, MIXERS

COMMON = ("TRAIN.EMA_DECAY", 0.9, "SOLVER.CLIP_GRAD_L2NORM", 1)
QUICK = ("cdb_ce", "cdb_logit", "mixup_or_cutmix", "lmr")
PARTS = [("LOSS.NAME", name) for name in LOSSES.names()]
PARTS += [("LOSS.NAME", "cross_entropy", "MIX.NAME", name) for name in MIXERS.names()]


@pytest.mark.parametrize(
    "words",
    [pytest.param(w, marks=[pytest.mark.slow] * (w[-1] not in QUICK), id=w[-1]) for w in PARTS],
)
def test_a_step_reads_nothing_from_the_device(configured, words):
    run = prepare(configured("out", *COMMON, *words), torch.device("meta"))
    steps = run.plan.steps(run.progress, run.recorder.batches(run.plan, run.progress))
    for step, window in islice(steps, 2):
        run.learner.gradient(window, step)
        run.learner.seen.end_step()
        run.learner.update()
        run.learner.optimizer.zero_grad()
    with pytest.raises(RuntimeError, match="no data"):
        run.learner.seen.look()


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES.names())
def test_a_network_reads_nothing_from_the_device(name):
    model = build_model(name, 3, **SMALL.get(name, {})).train().to("meta")
    frames, size = model.input_format[:2] if model.fixed_input else (4, 32)
    clips = torch.zeros(2, 3, frames, size, size, dtype=torch.uint8, device="meta")
    logits = model(clips)
    logits.sum().backward()
    assert logits.shape == (2, 3)
    assert {p.grad.device.type for p in model.fc.parameters()} == {"meta"}
    with pytest.raises(RuntimeError, match="meta tensors"):
        logits.sum().item()
