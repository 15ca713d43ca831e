"""The contract that every registered loss keeps."""

import pytest
import torch

from cdb_video.registry import LOSSES

K = 5


@pytest.fixture(params=LOSSES.names())
def make(request):
    kind = LOSSES.get(request.param)
    counts = torch.tensor([100, 40, 10, 3, 1])

    def make(counts=counts, **context):
        return kind(kind.Options(), num_classes=K, class_counts=counts, **context)

    return make


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(7, K, generator=generator, dtype=torch.float64)
    return logits, torch.tensor([0, 1, 2, 3, 4, 0, 0])


def one_hot(target):
    return torch.nn.functional.one_hot(target, K).double()


def observe(loss):
    loss.observe(torch.tensor([0.9, 0.5, 0.0, 1.0, 0.2]), torch.tensor([10, 10, 10, 10, 5]))


def test_gives_a_finite_scalar_before_and_after_a_validation(make, batch):
    loss = make()
    for _ in range(2):
        value = loss(*batch)
        assert value.shape == ()
        assert torch.isfinite(value)
        assert value > 0
        observe(loss)


def test_gradient_agrees_with_finite_differences(make, batch):
    loss = make().eval()
    observe(loss)
    logits, target = batch
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits.requires_grad_())


def test_class_ids_and_certain_probabilities_are_the_same(make, batch):
    loss = make()
    if not loss.accepts_soft_targets:
        pytest.skip("takes class ids only")
    observe(loss)
    logits, target = batch
    torch.testing.assert_close(loss(logits, target), loss(logits, one_hot(target)))


def test_soft_targets_are_linear(make, batch):
    loss = make()
    if not loss.accepts_soft_targets:
        pytest.skip("takes class ids only")
    observe(loss)
    logits, target = batch
    other = target.flip(0)
    mixed = 0.3 * one_hot(target) + 0.7 * one_hot(other)
    torch.testing.assert_close(
        loss(logits, mixed), 0.3 * loss(logits, target) + 0.7 * loss(logits, other)
    )


def test_soft_targets_are_refused_where_they_make_no_sense(make, batch):
    loss = make()
    if loss.accepts_soft_targets:
        pytest.skip("takes soft targets")
    logits, target = batch
    message = rf"needs class ids \(B,\) as target, got class probabilities \(7, {K}\)"
    with pytest.raises(ValueError, match=message):
        loss(logits, one_hot(target))


def test_a_batch_of_one(make, batch):
    logits, target = batch
    assert torch.isfinite(make()(logits[:1], target[:1]))


def test_half_precision_logits_are_computed_in_float32(make, batch):
    logits, target = batch
    loss = make().eval()
    value = loss(logits.bfloat16(), target)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.bfloat16().float(), target))


def test_extreme_logits_stay_finite(make):
    logits = torch.tensor([[1e4, -1e4, 0.0, 0.0, 0.0]], requires_grad=True)
    value = make()(logits, torch.tensor([1]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_state_survives_save_and_load(make, batch, tmp_path):
    loss, restored = make().eval(), make().eval()
    observe(loss)
    torch.save(loss.state_dict(), tmp_path / "loss.pt")
    restored.load_state_dict(torch.load(tmp_path / "loss.pt", weights_only=True))
    observe(loss)
    observe(restored)
    assert torch.equal(loss(*batch), restored(*batch))


def test_never_nan_whatever_validation_says(make, batch):
    cases = [
        (torch.ones(K), torch.full((K,), 4)),
        (torch.zeros(K), torch.full((K,), 4)),
        (torch.full((K,), torch.nan), torch.zeros(K, dtype=torch.int64)),
        (torch.tensor([1.0, torch.nan, 0.5, 1.0, torch.nan]), torch.tensor([3, 0, 2, 1, 0])),
    ]
    for recall, counts in cases:
        loss = make()
        loss.observe(recall, counts)
        assert torch.isfinite(loss(*batch))
        assert torch.isfinite(loss.class_weights).all()
        assert (loss.class_weights >= 0).all()
        assert loss.class_weights.mean().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("counts", [[100, 0, 10, 0, 1], [0, 0, 0, 0, 0], [7, 0, 0, 0, 0]])
def test_never_nan_whatever_is_absent_from_training(make, batch, counts):
    loss = make(torch.tensor(counts))
    logits, target = batch
    value = loss(logits.requires_grad_(), target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    assert torch.isfinite(loss.class_weights).all()
    assert loss.class_weights.mean().item() == pytest.approx(1, abs=1e-6)


def test_deferred_weights_are_1_in_the_first_epochs(make, batch):
    weights = torch.tensor([0.2, 0.4, 0.9, 1.5, 2.0])
    deferred, never, even = make(defer_epochs=2).eval(), make().eval(), make().eval()
    for loss in (deferred, never):
        loss.class_weights.copy_(weights)
    even.class_weights.fill_(1)
    for epoch in (1, 2, 3, 4):
        deferred.start_epoch(epoch)
        other = even if epoch <= 2 else never
        assert torch.equal(deferred.weights_in(epoch), other.class_weights)
        assert torch.equal(deferred(*batch), other(*batch))


def test_deferral_is_no_state(make):
    loss = make(defer_epochs=2)
    loss.start_epoch(2)
    assert loss.state_dict().keys() == make().state_dict().keys()
    assert torch.equal(loss.class_weights, make().class_weights)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(2, K + 1), torch.zeros(2, dtype=torch.int64), "logits must be"),
        (torch.zeros(K), torch.zeros(1, dtype=torch.int64), "logits must be"),
        (torch.zeros(0, K), torch.zeros(0, dtype=torch.int64), "logits must be"),
        (torch.zeros(2, K), torch.zeros(3, dtype=torch.int64), "target must have shape"),
        (torch.zeros(2, K), torch.zeros(2, K + 1), "target must have shape|needs class ids"),
    ],
)
def test_wrong_shapes_are_named(make, logits, target, message):
    with pytest.raises(ValueError, match=message):
        make()(logits, target)


def test_class_counts_of_another_length_are_refused():
    kind = LOSSES.get("cross_entropy")
    with pytest.raises(ValueError, match=r"class_counts must have shape \(5,\), got \(4,\)"):
        kind(kind.Options(), num_classes=K, class_counts=torch.ones(4))
