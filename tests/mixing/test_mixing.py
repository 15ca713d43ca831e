"""Every way of mixing: the contract over the registry, and each formula by another way."""

import math

import pytest
import torch

from cdb_video.engine.train.forward import mostly_own
from cdb_video.errors import ConfigError
from cdb_video.mixing.cutmix import random_box
from cdb_video.mixing.framestack import stacked
from cdb_video.mixing.lmr import LongTailMixedReconstruction as Lmr
from cdb_video.mixing.lmr import contributions, reconstruction_weights
from cdb_video.mixing.remix import label_shares
from cdb_video.registry import MIXERS

K = 4
COUNTS = torch.tensor([100, 40, 10, 3])
LABELS = torch.tensor([0, 3, 1, 2, 3])


def make(name, counts=COUNTS, **options):
    kind = MIXERS.get(name)
    return kind(kind.Options(**options), num_classes=len(counts), class_counts=counts)


def inputs_for(mixer, level, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (5, 3, 8, 12, 16) if level == "input" else (5, 7)
    return torch.randn(shape, generator=generator)


CASES = [(name, level) for name in MIXERS.names() for level in MIXERS.get(name).levels]


@pytest.mark.parametrize(("name", "level"), CASES)
def test_the_contract(name, level):
    mixer = make(name)
    mixer.observe(torch.tensor([0.9, 0.5, 0.1, 0.0]), torch.tensor([5, 5, 5, 5]))
    inputs = inputs_for(mixer, level)
    before = inputs.clone()
    torch.manual_seed(3)
    mixed, target = mixer(inputs, LABELS)
    assert mixed.shape == inputs.shape
    assert mixed.isfinite().all()
    assert torch.equal(inputs, before), "what is mixed is not changed in place"
    if mixer.gives_shares:
        assert target.shape == (5, K)
        assert (target >= 0).all()
        torch.testing.assert_close(target.sum(dim=1), torch.ones(5))
    else:
        assert target is LABELS
    again = make(name)
    again.load_state_dict(mixer.state_dict())
    for one in (mixer, again):
        torch.manual_seed(4)
        one.found = one(inputs, LABELS)
    if name != "lmr":  # its bank has grown meanwhile
        torch.testing.assert_close(mixer.found[0], again.found[0], rtol=0, atol=0)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_the_seed_decides(name, level):
    mixer = make(name)
    found = []
    for seed in (1, 1):
        torch.manual_seed(seed)
        found.append(make(name)(inputs_for(mixer, level), LABELS))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize(("name", "level"), CASES)
def test_the_gradient_reaches_the_clips(name, level):
    mixer = make(name)
    inputs = inputs_for(mixer, level).requires_grad_()
    mixer(inputs, LABELS)[0].square().sum().backward()
    assert inputs.grad.isfinite().all()
    assert inputs.grad.abs().sum() > 0


@pytest.mark.parametrize(("name", "level"), CASES)
def test_a_batch_of_one_is_mixed_with_itself(name, level):
    mixer = make(name)
    inputs = inputs_for(mixer, level)[:1]
    mixed, target = mixer(inputs, LABELS[:1])
    torch.testing.assert_close(mixed, inputs)
    if mixer.gives_shares:
        torch.testing.assert_close(target, mixer.one_hot(LABELS[:1]))


def test_mixup_blends_clips_and_labels_by_one_share():
    mixer, inputs = make("mixup"), torch.eye(5)
    torch.manual_seed(0)
    mixed, target = mixer(inputs, LABELS)
    share = float(mixed[0, 0])
    assert 0 < share < 1
    for i in range(5):
        row = share * inputs[i] + (1 - share) * inputs[4 - i]
        torch.testing.assert_close(mixed[i], row)
        expected = torch.zeros(K)
        expected[LABELS[i]] += share
        expected[LABELS[4 - i]] += 1 - share
        torch.testing.assert_close(target[i], expected)


def test_mixup_s_shares_are_beta():
    mixer = make("mixup", alpha=0.8)
    torch.manual_seed(0)
    shares = torch.tensor([float(mixer(torch.eye(5), LABELS)[0][0, 0]) for _ in range(4000)])
    assert float(shares.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(shares.var()) == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.01)


def test_cutmix_pastes_one_box_in_all_frames_and_counts_its_area():
    mixer = make("cutmix")
    inputs = torch.arange(5.0)[:, None, None, None, None].expand(5, 3, 4, 12, 16).contiguous()
    for seed in range(20):
        torch.manual_seed(seed)
        mixed, target = mixer(inputs, LABELS)
        pasted = mixed[0] == 4
        assert torch.equal(pasted, pasted[:1, :1].expand_as(pasted)), "the same in every frame"
        area = float(pasted[0, 0].double().mean())
        assert float(target[0, 0]) == pytest.approx(1 - area)
        assert torch.equal(mixed[2], inputs[2])


def test_boxes_have_the_area_that_is_asked_for_where_they_fit():
    torch.manual_seed(0)
    for area in (0.0, 0.25, 1.0):
        top, bottom, left, right = random_box(40, 60, area)
        assert 0 <= top <= bottom <= 40
        assert 0 <= left <= right <= 60
        assert (bottom - top) * (right - left) <= area * 40 * 60
    boxes = [random_box(100, 100, 0.04) for _ in range(300)]
    whole = [b for b in boxes if (b[1] - b[0], b[3] - b[2]) == (20, 20)]
    assert 0.5 < len(whole) / 300 < 0.8  # the centre is at least 10 from each edge: 0.64


@pytest.mark.parametrize(
    ("ratio", "share", "expected"),
    [
        (3.0, 0.49, 0.0),
        (3.0, 0.5, 0.5),
        (2.9, 0.1, 0.1),
        (1 / 3, 0.51, 1.0),
        (1 / 3, 0.5, 0.5),
        (0.4, 0.9, 0.9),
        (100.0, 0.9, 0.9),
        (0.01, 0.1, 0.1),
        (1.0, 0.2, 0.2),
    ],
)
def test_remix_s_table_of_cases(ratio, share, expected):
    found = label_shares(torch.tensor([ratio]), share, 3.0, 0.5)
    assert float(found) == pytest.approx(expected)


def test_remix_gives_the_label_to_the_rare_class():
    """Of 100 and 3 clips: whatever share is seen, the label of the large class is less or gone."""
    mixer, labels = make("remix"), torch.tensor([0, 3])
    for seed in range(30):
        torch.manual_seed(seed)
        mixed, target = mixer(torch.eye(2), labels)
        share = float(mixed[0, 0])
        assert float(target[0, 0]) == pytest.approx(share if share >= 0.5 else 0, abs=1e-6)
        assert float(target[1, 3]) == pytest.approx(share if share <= 0.5 else 1, abs=1e-6)


def test_remix_s_kappa_says_what_is_rare():
    """100 clips are 33 times 3: enough for a KAPPA of 30, too few for one of 40."""
    shares = []
    for kappa in (30.0, 40.0):
        torch.manual_seed(4)
        mixed, target = make("remix", kappa=kappa)(torch.eye(2), torch.tensor([0, 3]))
        assert 0 < float(mixed[0, 0]) < 0.5
        shares.append(float(target[0, 0]))
    assert shares == [0, pytest.approx(float(mixed[0, 0]), abs=1e-6)]


def test_mixup_or_cutmix_takes_the_options_of_both():
    inputs = torch.arange(5.0)[:, None, None, None, None].expand(5, 3, 4, 8, 8)
    for share, name, alpha in ((0.0, "mixup", 0.3), (1.0, "cutmix", 2.0)):
        both = make("mixup_or_cutmix", cutmix_share=share, **{f"{name}_alpha": alpha})
        torch.manual_seed(5)
        found, target = both(inputs, LABELS)
        torch.manual_seed(5)
        torch.rand(())  # the choice
        expected, labels = make(name, alpha=alpha)(inputs, LABELS)
        assert torch.equal(found, expected)
        assert torch.equal(target, labels)


def test_pairwise_leaves_half_of_the_clips():
    mixer = make("pairwise")
    torch.manual_seed(0)
    shares = torch.cat([mixer(torch.eye(5), LABELS)[0].diagonal() for _ in range(2000)])
    # Half stay; of the others a fifth meet themselves, the rest is U(0, 1).
    assert float((shares > 1 - 1e-6).double().mean()) == pytest.approx(0.6, abs=0.02)
    assert float(shares[shares <= 1 - 1e-6].mean()) == pytest.approx(0.5, abs=0.02)


def test_framestack_s_worked_example():
    """Recall 0.2 against 0.6: 45 of 60 frames are its own, after 15 of the other."""
    mixer = make("framestack", ratio=1.0)
    mixer.observe(torch.tensor([0.2, 0.6, 0, 0]), torch.tensor([5, 5, 0, 0]))
    inputs = torch.zeros(2, 3, 60, 1, 1)
    inputs[0] += torch.arange(60.0)[:, None, None]
    inputs[1] += 100 + torch.arange(60.0)[:, None, None]
    labels = torch.tensor([0, 1])
    seed = next(s for s in range(99) if torch.manual_seed(s) and torch.randperm(2)[0] == 1)
    torch.manual_seed(seed)
    mixed, target = mixer(inputs, labels)
    frames = mixed[0, 0, :, 0, 0].tolist()
    assert [frame >= 100 for frame in frames] == [True] * 15 + [False] * 45
    assert frames[:3] == [102, 106, 110]
    assert target[0].tolist() == pytest.approx([0.75, 0.25, 0, 0])
    assert target[1].tolist() == pytest.approx([0.75, 0.25, 0, 0])


def test_framestack_starts_plain_and_stacks_half_of_a_batch():
    mixer, inputs = make("framestack"), torch.randn(4, 3, 6, 2, 2)
    labels = torch.tensor([0, 1, 2, 3])
    assert torch.equal(mixer(inputs, labels)[0], inputs)
    mixer.observe(torch.zeros(4), torch.tensor([1, 1, 1, 1]))
    torch.manual_seed(1)
    mixed, target = mixer(inputs, labels)
    assert torch.equal(mixed[2:], inputs[2:])
    assert torch.equal(target[2:], mixer.one_hot(labels)[2:])
    clips, places = stacked(torch.tensor([1, 0]), torch.tensor([3, 0]), 9)
    assert clips.tolist() == [[1] * 3 + [0] * 6, [1] * 9]
    assert places.tolist() == [[1, 4, 7, 0, 2, 3, 5, 6, 8], list(range(9))]


def lmr_options(**options):
    return Lmr.Options(**{"few_shot": 20, "eps": 1.0, **options})


def test_lmr_s_contributions_of_the_published_example():
    options = lmr_options(contribution=0.5, d=1.0, eps=0.1)
    found = contributions(torch.tensor([1.0, 10, 100, 1000]), options)
    assert found.tolist() == pytest.approx([0.5, 0.0139, 0.0035, 0], abs=5e-5)


def test_lmr_s_contributions_in_the_released_form():
    """SSv2-LT's: l 0.6, d 0.25, floor 0.001."""
    counts = torch.tensor([5.0, 10, 20, 101, 2500])
    options = lmr_options(contribution=0.6, d=0.25, form="release", floor=0.001)
    found = contributions(counts, options).tolist()
    assert found == pytest.approx([0.600, 0.386, 0.251, 0.097, 0.001], abs=5e-4)


def test_lmr_refuses_constants_that_turn_the_order_of_classes_around():
    """EPIC-KITCHENS-100's released constants give the rarest verb a logarithm below 0."""
    verbs = torch.tensor([1.0, 2, 3, 20, 1000])
    with pytest.raises(ConfigError, match=r"must be above 1 for the class with 1 clips, got 0\.9"):
        contributions(verbs, lmr_options(d=0.15, form="release"))
    with pytest.raises(ConfigError, match=r"D \* n \+ EPS must be above 1"):
        make("lmr", counts=torch.tensor([1, 50]), d=0.5, eps=0.5)
    assert contributions(torch.tensor([0.0, 5]), lmr_options()).isfinite().all()


def test_lmr_s_weights_are_a_softmax_of_correlations():
    queries, keys = torch.randn(3, 6), torch.randn(4, 6)
    excluded = torch.tensor([[True, False, False, False], [True] * 4, [False] * 4])
    found = reconstruction_weights(queries, keys, excluded)
    for i in range(3):
        powers = [
            0.0
            if excluded[i, j]
            else math.exp(torch.corrcoef(torch.stack([queries[i], keys[j]]))[0, 1])
            for j in range(4)
        ]
        total = sum(powers) or 1
        assert found[i].tolist() == pytest.approx([p / total for p in powers], abs=1e-4)


def correlation(one, other):
    """Pearson's, with what layer norms add to each variance lest they divide by zero."""
    shifted = [values.double() - values.double().mean() for values in (one, other)]
    scale = math.prod(float(values.square().mean()) + 1e-5 for values in shifted) ** 0.5
    return float((shifted[0] * shifted[1]).mean()) / scale


def test_lmr_by_hand_with_a_bank():
    """A clip never helps itself, few-shot classes help nobody, older batches do."""
    mixer = make("lmr", few_shot=20, probability=0.0, bank=2)
    first, second = torch.randn(3, 6), torch.randn(3, 6)
    labels = torch.tensor([0, 3, 1])
    mixer(torch.full((3, 6), 9.0), labels)  # falls out of the bank
    mixer(first, labels)
    mixed, target = mixer(second, labels)
    assert torch.equal(target, mixer.one_hot(labels))
    share = mixer.contributions[labels]
    assert float(share[1]) == pytest.approx(0.6)
    for i in range(3):
        helpers = [first[0], first[2], *(second[j] for j in (0, 2) if j != i)]
        powers = torch.tensor([math.exp(correlation(second[i], h)) for h in helpers])
        rebuilt = sum(p * h for p, h in zip(powers / powers.sum(), helpers, strict=True))
        torch.testing.assert_close(mixed[i], share[i] * rebuilt + (1 - share[i]) * second[i])


def test_lmr_leaves_alone_what_nobody_can_help():
    mixer = make("lmr", counts=torch.tensor([5, 3, 9, 2]), probability=0.0)
    features = torch.randn(5, 6)
    mixed, _ = mixer(features, LABELS)
    torch.testing.assert_close(mixed, features)
    mixer = make("lmr", probability=0.0)
    mixer(torch.full((5, 6), torch.nan), LABELS)  # of a step that was skipped
    assert mixer(features, LABELS)[0].isfinite().all()


def test_training_recall_counts_clips_that_are_mostly_themselves():
    target = torch.tensor([[0.6, 0.4], [0.4, 0.6], [0.5, 0.5], [0.0, 1.0]])
    assert mostly_own(target, torch.tensor([0, 0, 0, 0])).tolist() == [True, False, True, False]
    assert mostly_own(LABELS, LABELS).all()
