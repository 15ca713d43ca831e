"""Adapters, LoRA and a classifier from class means: what learns, what stays, what a file holds."""

import pytest
import torch
from models.small import SMALL, SMALL_VIDEOMAE
from torch import nn

from cdb_video import options
from cdb_video.engine.evaluate.test import test as run_test
from cdb_video.engine.prepare.data import make_eval_loader, read_splits
from cdb_video.engine.prepare.model import new_model
from cdb_video.engine.prepare.tuning import set_up_tuning
from cdb_video.engine.train.loop import train
from cdb_video.engine.train.run import prepare
from cdb_video.engine.use.predictor import load
from cdb_video.errors import ConfigError
from cdb_video.models import build_model, read_checkpoint
from cdb_video.models.tuning.light import add_lora, is_light, plain_state, train_additions_only
from cdb_video.output.run_folder import RunFolder
from cdb_video.outputs import Outputs

CPU = torch.device("cpu")
LORA = ("MODEL.LORA_RANK", 2)
ADAPTERS = ("MODEL.ADAPTER_DIM", 3)


@pytest.fixture
def tuned(tiny_yaml, tmp_path):
    """(folder, *words) -> Config of a small video transformer."""

    def tuned(name, *words):
        out = ["OUTPUT_DIR", str(tmp_path / name), "SOLVER.MAX_EPOCH", "2"]
        out += ["SOLVER.STEPS", "[0]", "SOLVER.LRS", "[1]"]
        return options.load(tiny_yaml, [*SMALL_VIDEOMAE, *out, *map(str, words)])

    return tuned


def clip():
    return torch.randint(0, 256, (2, 3, 4, 32, 32), dtype=torch.uint8)


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("name", ["videomae", "timesformer", "vivit", "vjepa2", "mvit_b"])
@pytest.mark.parametrize("how", ["adapters", "lora"])
def test_it_starts_as_the_plain_network_to_the_bit_and_few_parameters_learn(name, how):
    sizes = SMALL[name]
    torch.manual_seed(0)
    plain = build_model(name, 3, **sizes).eval()
    torch.manual_seed(0)
    extra = {"adapter_dim": 2} if how == "adapters" else {}
    model = build_model(name, 3, **sizes, **extra).eval()
    model.load_state_dict(plain.state_dict(), strict=False)
    if how == "lora":
        add_lora(model, 1, 16.0, "attention")
    train_additions_only(model)
    frames, size = plain.input_format[:2]
    video = torch.randint(0, 256, (1, 3, frames, size, size), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(video), plain(video))
    learning = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
    assert {"fc.weight", "fc.bias"} < learning.keys()
    total = sum(p.numel() for p in model.parameters())
    assert sum(learning.values()) < (0.02 if total > 1e6 else 0.2) * total


def test_lora_is_scaled_by_alpha_over_rank(tuned):
    """Twice the alpha moves the output twice as far, where the pairs are the same."""
    moved = []
    for alpha in (8, 16):
        torch.manual_seed(0)
        config = tuned(f"alpha_{alpha}", *LORA, "MODEL.LORA_ALPHA", alpha)
        model = prepare(config, CPU).learner.model.eval()
        layers = [one for one in model.modules() if hasattr(one, "lora_B")]
        assert {one.scaling["default"] for one in layers} == {alpha / 2}
        layer = layers[0]
        torch.manual_seed(1)
        inputs = torch.randn(3, layer.in_features)
        with torch.no_grad():
            before = layer(inputs)
            layer.lora_B["default"].weight.normal_()
            moved.append(layer(inputs) - before)
    torch.testing.assert_close(moved[1], 2 * moved[0])


@pytest.mark.parametrize("words", [LORA, (*LORA, "MODEL.LORA_TARGETS", "all"), ADAPTERS])
def test_the_backbone_stays_and_the_checkpoint_is_tested(tuned, words):
    config = tuned("out", *words)
    before = parameters(prepare(config, CPU).learner.model)
    train(config)
    state = read_checkpoint(RunFolder(config.output_dir).latest)
    after = state["tuned_state"] or state["model_state"]
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert all(
        ".lora_" in n or n.startswith("fc.") or ".down." in n or ".up." in n for n in changed
    )
    assert len(changed) > 4
    metrics = run_test(config)
    assert metrics["num_samples"] == 7
    predictor = load(RunFolder(config.output_dir).best)
    assert not is_light(predictor.model)


def test_lora_is_in_the_weights_of_the_checkpoint(tuned):
    """The plain network with them says what the tuned one says."""
    config = tuned("out", *LORA)
    train(config)
    content = read_checkpoint(RunFolder(config.output_dir).latest)
    splits = read_splits(config, "train")
    plain = new_model(config, Outputs.unnamed(3), CPU)
    plain.load_state_dict(content["model_state"])
    tuned_model = new_model(config, Outputs.unnamed(3), CPU)
    set_up_tuning(config.model, config.rng_seed, tuned_model)
    tuned_model.load_state_dict(content["tuned_state"])
    video = clip()
    with torch.no_grad():
        one, other = plain.eval()(video), tuned_model.eval()(video)
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert plain_state(tuned_model).keys() == plain.state_dict().keys()
    untouched = new_model(config, Outputs(splits.class_names), CPU)
    assert not torch.allclose(untouched.eval()(video), one)


@pytest.mark.parametrize("words", [LORA, ADAPTERS, (*LORA, "TRAIN.EMA_DECAY", 0.5)])
def test_a_run_that_goes_on_is_the_same_run(tuned, words):
    train(tuned("whole", *words))
    train(tuned("parts", *words, "SOLVER.MAX_EPOCH", 1))
    train(tuned("parts", *words))
    one, other = (
        read_checkpoint(RunFolder(tuned(name).output_dir).latest) for name in ("whole", "parts")
    )
    for part in ("model_state", "tuned_state"):
        assert one[part].keys() == other[part].keys()
        for name, tensor in one[part].items():
            assert torch.equal(tensor, other[part][name]), name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("MODEL.LORA_RANK", 2, "MODEL.ADAPTER_DIM", 2), "exclude each other"),
        (("MODEL.LORA_RANK", 2, "MODEL.FREEZE_STAGES", 1), "FREEZE_STAGES must be 0"),
    ],
)
def test_what_excludes_each_other_is_one_line(tuned, words, said):
    with pytest.raises(ConfigError, match=said):
        tuned("out", *words)


@pytest.mark.parametrize("words", [LORA, ADAPTERS])
def test_a_network_of_convolutions_is_refused(configured, words):
    with pytest.raises(ConfigError, match="needs a backbone whose blocks have linear layers"):
        train(configured("out", *words))


@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_the_classifier_starts_from_class_means(configured, head):
    config = configured("out", "MODEL.HEAD", head, "MODEL.HEAD_INIT", "class_means")
    run = prepare(config, CPU)
    model = run.learner.model.eval()
    features, labels = [], []
    for batch in make_eval_loader(config, run.plan.task.splits, "train", CPU).batches():
        with torch.no_grad():
            model(batch.video, lambda found: features.append(found) or found)
        labels.append(batch.label)
    found, label = torch.cat(features), torch.cat(labels)
    means = torch.stack([found[label == c].mean(0) for c in range(3)])
    expected = nn.functional.normalize(means)
    torch.testing.assert_close(model.fc.weight.detach(), expected, atol=1e-5, rtol=1e-4)
    train(config)


@pytest.mark.parametrize("name", ["videomae", "timesformer", "vivit", "vjepa2"])
def test_an_attentive_head_looks_at_the_tokens(name):
    torch.manual_seed(0)
    model = build_model(name, 3, head="attentive", **SMALL[name]).eval()
    frames, size = model.input_format[:2]
    video = torch.randint(0, 256, (2, 3, frames, size, size), dtype=torch.uint8)
    tokens = []
    layer = model.get_submodule(model.token_layer)
    hook = layer.register_forward_hook(
        lambda m, i, o: tokens.append(o if torch.is_tensor(o) else o[0])
    )
    logits = model(video)
    hook.remove()
    assert tokens[0].ndim == 3
    assert tokens[0].shape[2] == model.num_features
    torch.testing.assert_close(logits, model.fc(model.fc.pool(tokens[0])))
    assert not layer._forward_hooks
    model(video).sum().backward()
    assert model.fc.pool.query.grad.abs().sum() > 0


def test_an_attentive_probe_trains_the_head_alone(tuned):
    config = tuned("out", "MODEL.HEAD", "attentive", "MODEL.FREEZE_STAGES", "all")
    before = parameters(prepare(config, CPU).learner.model)
    train(config)
    after = read_checkpoint(RunFolder(config.output_dir).latest)["model_state"]
    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "fc.pool.query" in changed
    assert all(name.startswith("fc.") for name in changed)
    metrics = run_test(config)
    assert metrics["num_samples"] == 7
    assert load(RunFolder(config.output_dir).best).model.fc.pool is not None
    with pytest.raises(ConfigError, match="attentive needs a transformer"):
        build_model("lenet", 3, head="attentive")


def test_a_cosine_head_is_scaled(tuned):
    one, other = (build_model("lenet", 3, head="cosine", head_scale=s) for s in (1.0, 25.0))
    other.load_state_dict(one.state_dict())
    video = torch.randint(0, 256, (2, 3, 1, 28, 28), dtype=torch.uint8)
    torch.testing.assert_close(other.eval()(video), 25 * one.eval()(video))
    config = tuned("out", "MODEL.HEAD", "cosine", "MODEL.HEAD_SCALE", 25)
    train(config)
    predictor = load(RunFolder(config.output_dir).best)
    assert predictor.model.fc.scale == 25
