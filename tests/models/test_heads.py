"""Stage-2 heads against their formulas, clip by clip in float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from cdb_video.models.heads import (
    ScaledHead,
    capped,
    label_aware_targets,
    logit_adjusted,
    nearest_class_mean,
    tau_normalised,
)

K, F, N = 4, 6, 40


@pytest.fixture
def trained():
    torch.manual_seed(0)
    head = nn.Linear(F, K)
    with torch.no_grad():
        head.weight *= torch.tensor([3.0, 1.0, 0.5, 0.1])[:, None]
    return head


@pytest.fixture
def clips():
    """(features (N, F), labels (N,)): classes of very different size, none absent."""
    rng = np.random.default_rng(1)
    labels = np.array([0] * 25 + [1] * 10 + [2] * 4 + [3])
    features = rng.normal(size=(N, F)) + rng.normal(size=(K, F))[labels] * 2
    return torch.tensor(features, dtype=torch.float32), torch.tensor(labels)


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 2.0])
def test_tau_normalised(trained, tau):
    head = tau_normalised(trained, tau)
    for c in range(K):
        w = trained.weight[c].tolist()
        length = sum(v * v for v in w) ** 0.5
        assert head.weight[c].tolist() == pytest.approx([v / length**tau for v in w], rel=1e-5)
    assert not head.bias.any()
    if tau == 1:
        assert torch.allclose(head.weight.norm(dim=1), torch.ones(K))


def test_tau_normalising_a_class_of_zero_weights_is_finite(trained):
    with torch.no_grad():
        trained.weight[2] = 0
    head = tau_normalised(trained, 1.0)
    assert head.weight.isfinite().all()
    assert not head.weight[2].any()


def test_scaled_head_starts_as_the_trained_one_and_learns_scales_only(trained, clips):
    head = ScaledHead(trained)
    assert torch.equal(head(clips[0]), trained(clips[0]))
    assert [(name, p.shape) for name, p in head.named_parameters()] == [("scale", (K,))]
    nn.functional.cross_entropy(head(clips[0]), clips[1]).backward()
    assert trained.weight.grad is None
    assert head.scale.grad.all()


def test_scaled_head_folds(trained, clips):
    head = ScaledHead(trained)
    scale = [0.5, 2.0, -1.0, 3.0]
    with torch.no_grad():
        head.scale.copy_(torch.tensor(scale))
    folded = head.folded()
    weight, bias = trained.weight.tolist(), trained.bias.tolist()
    for x, logits in zip(clips[0].tolist(), folded(clips[0]).tolist(), strict=True):
        for c in range(K):
            dot = sum(w * v for w, v in zip(weight[c], x, strict=True))
            assert logits[c] == pytest.approx(scale[c] * (dot + bias[c]), abs=1e-4)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_nearest_class_mean(clips, distance):
    features, labels = clips
    x = features.double().numpy()
    logits = nearest_class_mean(features, labels, K, distance)(features).double().detach().numpy()
    means = [x[labels.numpy() == c].mean(axis=0) for c in range(K)]
    for n in range(N):
        if distance == "cosine":
            norm = np.linalg.norm(x[n])
            near = [x[n] @ m / (norm * np.linalg.norm(m)) for m in means]
            assert logits[n] / norm == pytest.approx(near, abs=1e-5)
        else:
            near = [-(((x[n] - m) ** 2).sum()) for m in means]
            assert logits[n] - (x[n] ** 2).sum() == pytest.approx(near, abs=1e-3)
        assert logits[n].argmax() == np.argmax(near)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_a_class_without_training_clips_is_never_the_nearest(clips, distance):
    features, labels = clips
    labels = labels.clone()
    labels[labels == 1] = 0
    head = nearest_class_mean(features, labels, K, distance)
    everywhere = torch.cat([features, -features, torch.zeros(1, F)])
    assert head(everywhere).isfinite().all()
    assert 1 not in head(everywhere).argmax(dim=1).tolist()
    assert head(everywhere).softmax(dim=1).isfinite().all()


def test_logit_adjustment_is_bayes_rule_for_classes_of_equal_size():
    """Two Gaussian classes of 900 and 100 clips: where a classifier that knows the probabilities of
    training says 9 : 1, that of equal sizes says 1 : 1, on the middle between the means."""
    counts = torch.tensor([900, 100])
    # log p(c | x) of unit Gaussians around -1 and 1, up to what both share.
    head = nn.Linear(1, 2)
    head.weight = nn.Parameter(torch.tensor([[-1.0], [1.0]]))
    head.bias = nn.Parameter((counts / 1000).log())
    middle = torch.zeros(1, 1)
    assert head(middle).softmax(1)[0].tolist() == pytest.approx([0.9, 0.1])
    adjusted = logit_adjusted(head, counts, 1.0)
    assert adjusted(middle).softmax(1)[0].tolist() == pytest.approx([0.5, 0.5])
    same = logit_adjusted(head, counts, 0.0)
    torch.testing.assert_close(same(middle), head(middle))
    assert logit_adjusted(head, torch.tensor([5, 0]), 1.0).bias.isfinite().all()


def test_label_aware_smoothing_has_the_form_of_the_released_code():
    counts = torch.tensor([9, 5, 1])
    smoothing = label_aware_targets(counts, 0.4, 0.1).diagonal().mul(-1).add(1)
    for counted, own in ((counts, smoothing), (torch.tensor([4, 4, 4]), torch.full((3,), 0.1))):
        targets = label_aware_targets(counted, 0.4, 0.1, "released")
        uniform = (own / 3)[:, None].expand(3, 3)
        torch.testing.assert_close(targets, torch.diag(1 - own) + uniform)


def test_label_aware_smoothing_has_its_ends_and_its_sine():
    counts = torch.tensor([10, 500, 255, 500])
    targets = label_aware_targets(counts, 0.4, 0.1)
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    own = targets.diagonal()
    middle = 0.1 + 0.3 * math.sin(math.pi / 2 * 245 / 490)
    assert own.tolist() == pytest.approx([0.9, 0.6, 1 - middle, 0.6])
    assert targets[0].tolist() == pytest.approx([0.9, *[0.1 / 3] * 3])
    equal = label_aware_targets(torch.tensor([7, 7]), 0.4, 0.1)
    assert equal.diagonal().tolist() == pytest.approx([0.9, 0.9])


def test_long_weights_are_shortened_and_others_left():
    head = nn.Linear(2, 3)
    head.weight = nn.Parameter(torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]))
    capped(head, 1.0)
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(head.weight.detach(), expected, atol=1e-5, rtol=0)
