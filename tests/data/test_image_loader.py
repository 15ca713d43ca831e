"""Batches of images: each picture where it belongs, cut as a clip of it would be."""

import numpy as np
import pytest
import torch

from cdb_video.data.batches.image_loader import ImageLoader, cut_pictures
from cdb_video.data.batches.loading import Loading, Share, Training
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.crops import Crop, Crops, crop_affine, random_crops
from cdb_video.data.frames.sampling import ClipSampling
from cdb_video.data.frames.warp import warper
from cdb_video.data.lists.records import Record
from cdb_video.data.samplers.class_balanced import ClassBalanced
from cdb_video.data.samplers.shuffle import Shuffle
from cdb_video.errors import ConfigError

CLASSES = ["away", "left", "right"]
LABELS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 2, 2, 2])
RECORDS = [Record(f"archive, image {number}", label) for number, label in enumerate(LABELS)]
CPU = torch.device("cpu")
USUAL = Augmentation(pad=4, flip=0.5)
ALL = Augmentation(
    pad=2, crop_scale=(0.5, 1.0), crop_by="area", rotation=20.0, flip=0.5, color_jitter=0.4
)


def noise(height=12, width=12):
    rng = np.random.default_rng(3)
    return rng.integers(0, 256, (len(RECORDS), 3, height, width), dtype=np.uint8)


def smooth(height=40, width=40):
    """One picture (3, H, W) without sharp edges."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 7 + y / 11), np.cos(x / 9), np.sin(y / 8)])
    return (127.5 + 120 * waves).astype(np.uint8)


def training(kind=Shuffle, images=None, seed=5, **changes):
    random = {
        "augmentation": USUAL,
        "class_names": CLASSES,
        "sampler": kind(kind.Options(), labels=LABELS, num_classes=3, seed=seed, num_epochs=3),
        "seed": seed,
    }
    random |= {name: changes.pop(name) for name in random if name in changes}
    images = noise() if images is None else images
    return ImageLoader(images, RECORDS, loading(**changes), Training(**random))


def loading(num_frames=1, size=12, batch_size=4, **changes):
    sampling = ClipSampling(num_frames=num_frames)
    return Loading(sampling=sampling, size=size, batch_size=batch_size, **changes)


def evaluation(images=None, **changes):
    views = (changes.pop("temporal_views", 1), changes.pop("spatial_crops", 1))
    images = noise() if images is None else images
    return ImageLoader(images, RECORDS, loading(**changes), views=views)


def joined(loader, epoch=1):
    """(video, label, index) of a whole epoch."""
    batches = [batch[:3] for batch in loader.batches(epoch)]
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


def assert_same(one, other):
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_evaluation_gives_every_picture_once_unchanged():
    loader = evaluation(num_frames=2)
    video, label, index = joined(loader)
    assert [len(batch.label) for batch in loader.batches()] == [4, 4, 3]
    assert video.dtype == torch.uint8
    assert video.shape == (11, 3, 2, 12, 12)
    assert index.tolist() == list(range(11))
    assert label.tolist() == LABELS.tolist()
    for frame in range(2):
        np.testing.assert_array_equal(video[:, :, frame], noise())


def test_views_follow_each_other_and_cover_the_long_side():
    loader = evaluation(noise(12, 20), temporal_views=2, spatial_crops=3)
    video, _, index = joined(loader)
    assert index.tolist() == np.repeat(np.arange(11), 6).tolist()
    for place, left in enumerate([0, 4, 8, 0, 4, 8]):
        np.testing.assert_array_equal(video[place::6, :, 0], noise(12, 20)[..., left : left + 12])


@pytest.mark.parametrize("augmentation", [USUAL, ALL])
@pytest.mark.parametrize("kind", [Shuffle, ClassBalanced])
def test_a_training_picture_does_not_depend_on_ranks_or_batches(kind, augmentation):
    """Even ones of the order go to one rank, odd ones to the other; the first is repeated."""
    whole = joined(training(kind, augmentation=augmentation))
    assert_same(whole, joined(training(kind, augmentation=augmentation, batch_size=3)))
    for rank in (0, 1):
        share = Share(rank=rank, world_size=2)
        part = joined(training(kind, augmentation=augmentation, share=share, batch_size=2))
        assert len(part[1]) == 6
        places = [*range(rank, 11, 2), 0][:6]
        assert_same(part, [tensor[places] for tensor in whole])


def test_crops_change_with_epoch_and_seed_and_repeat():
    first, again = joined(training()), joined(training())
    assert_same(first, again)
    for other in (joined(training(), epoch=2), joined(training(seed=6))):
        by_record = [video[index.argsort()] for video, _, index in (first, other)]
        assert not torch.equal(*by_record)
    video, label, index = joined(training(ClassBalanced))
    twice = video[index == index[label == 1][0]]
    assert len(twice) > 1
    assert not torch.equal(twice[0], twice[1])


def test_only_a_training_batch_of_one_joins_the_one_before_it():
    assert [len(batch.label) for batch in training(batch_size=5).batches()] == [5, 6]
    assert len(training(batch_size=5)) == 2
    assert [len(batch.label) for batch in evaluation(batch_size=5).batches()] == [5, 5, 1]


def test_padded_crops_are_exact_copies_with_black_around():
    images = np.maximum(noise(), 1)
    padded = np.pad(images, ((0, 0), (0, 0), (4, 4), (4, 4)))
    places = set()
    for epoch in range(40):
        video, _, index = joined(training(images=images), epoch)
        for clip, record in zip(video[:, :, 0].numpy(), index.tolist(), strict=True):
            windows = np.lib.stride_tricks.sliding_window_view(padded[record], (12, 12), (1, 2))
            found = [
                (top, left, flipped)
                for flipped in (False, True)
                for top, left in np.argwhere(
                    (windows == clip[:, None, None, :, :: -1 if flipped else 1]).all((0, 3, 4))
                ).tolist()
            ]
            assert len(found) == 1
            places.update(found)
    tops, lefts, flips = (set(values) for values in zip(*places, strict=True))
    assert tops == lefts == set(range(9))
    assert flips == {False, True}


def test_a_flip_swaps_the_labels_it_should():
    always = Augmentation(flip=1.0, flip_labels=(("left", "right"),))
    video, label, index = joined(training(augmentation=always))
    np.testing.assert_array_equal(video[:, :, 0], noise()[index.numpy()][..., ::-1])
    assert label.tolist() == [[0, 2, 1][LABELS[number]] for number in index.tolist()]
    with pytest.raises(ConfigError, match="FLIP_LABELS .* got 'up'"):
        training(augmentation=Augmentation(flip_labels=(("left", "up"),)))


@pytest.mark.parametrize("black", [False, True])
@pytest.mark.parametrize("shape", [(40, 40), (40, 56)])
def test_a_crop_is_that_of_a_clip(shape, black):
    """Both ways to the same picture: OpenCV's for clips, and PyTorch's for batches."""
    picture = smooth(*shape)
    augmentation = Augmentation(
        pad=6 if black else 0,
        crop_scale=(0.5, 1),
        aspect_ratio=(0.8, 1.25),
        rotation=30,
        flip=0.5,
    )
    crops = random_crops(*shape, 40, augmentation, np.random.default_rng(0), 20)
    batch = cut_pictures(torch.from_numpy(picture).expand(20, -1, -1, -1), crops, 40, black=black)
    for number in range(20):
        crop = Crop(*(values[number].item() for values in crops))
        affine = crop_affine(crop, shape, shape, 40)
        clip = warper(affine, shape, 40, black=black)(picture.transpose(1, 2, 0))
        difference = np.abs(batch[number].permute(1, 2, 0).numpy().astype(int) - clip)
        # OpenCV rounds places to 1/32 pixel, which shows at the edge to black.
        assert difference.max() <= (10 if black else 4)
        assert difference.mean() < 1


def test_the_copied_and_the_resampled_crop_are_the_same_picture():
    pictures = torch.from_numpy(noise())
    draw = random_crops(12, 12, 12, USUAL, np.random.default_rng(1), len(RECORDS))
    turned = draw._replace(degrees=np.full(len(RECORDS), 1e-4))
    copied, resampled = (cut_pictures(pictures, crops, 12, black=True) for crops in (draw, turned))
    assert (copied.int() - resampled.int()).abs().max() <= 1


def test_pictures_of_another_size_are_resized_once():
    picture = np.broadcast_to(smooth(48, 72), (len(RECORDS), 3, 48, 72))
    for size in (24, 96):
        video, _, _ = joined(evaluation(picture, size=size))
        crop = Crops(*(np.array([value]) for value in (12, 0, 48, 48, 0.0, False)))
        expected = cut_pictures(torch.tensor(picture[:1]), crop, size)[0].int()
        assert video.shape == (11, 3, 1, size, size)
        assert (video[0, :, 0].int() - expected).abs().float().mean() < 1.5


def test_the_border_is_in_pixels_of_the_output():
    crops = random_crops(64, 64, 32, USUAL, np.random.default_rng(0), 2000)
    for places in (crops.left, crops.top):
        assert (places.min(), places.max()) == (-8, 8)


@pytest.mark.gpu
@pytest.mark.parametrize("augmentation", [USUAL, ALL])
def test_batches_are_made_where_the_images_are(augmentation):
    here, there = (
        joined(training(augmentation=augmentation, device=torch.device(device), num_frames=2))
        for device in ("cpu", "cuda")
    )
    assert {tensor.device.type for tensor in there} == {"cuda"}
    for one, other in zip(here[1:], there[1:], strict=True):
        assert torch.equal(one, other.cpu())
    # Copies are exact; devices may round what is resampled to either side.
    difference = (here[0].int() - there[0].cpu().int()).abs().max()
    assert difference <= (0 if augmentation is USUAL else 1)
