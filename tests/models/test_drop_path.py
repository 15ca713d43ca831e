"""Drop path: what is dropped, what is kept, and when it does nothing."""

import pytest
import torch

from cdb_video.models.layers.drop_path import DropPath


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_whole_samples_are_dropped_and_the_mean_stays(rate, dtype):
    torch.manual_seed(0)
    samples = 20_000
    y = DropPath(rate).train()(torch.ones(samples, 2, 1, 3, dtype=dtype)).flatten(1)
    assert y.dtype == dtype
    assert y.eq(y[:, :1]).all()
    kept = y[:, 0].float() > 0
    assert (1 - kept.float().mean()).item() == pytest.approx(rate, abs=0.02)  # over 5 deviations
    torch.testing.assert_close(
        y[kept].float(), torch.full_like(y[kept].float(), 1 / (1 - rate)), rtol=2**-7, atol=0
    )
    assert y.float().mean().item() == pytest.approx(1, abs=0.1)


def test_the_gradient_reaches_what_is_kept_only():
    torch.manual_seed(0)
    x = torch.ones(100, 3, requires_grad=True)
    y = DropPath(0.5).train()(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert 0 < int(y.count_nonzero()) < 300


def test_nothing_is_dropped_in_evaluation_or_at_rate_0():
    x = torch.randn(4, 3)
    assert DropPath(0.9).eval()(x) is x
    assert DropPath(0.0).train()(x) is x
