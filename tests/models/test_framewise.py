"""2D networks on clips: the mean over frames, and no copies where none are needed."""

import pytest
import torch
from models.small import SMALL

from cdb_video.models import build_model
from cdb_video.models.layers.framewise import FrameWise
from cdb_video.registry import BACKBONES

FRAME_WISE = [name for name in BACKBONES.names() if issubclass(BACKBONES.get(name), FrameWise)]


class Recorder(FrameWise):
    """Keeps the frames that it was given; a frame's feature is its mean."""

    num_features = 3

    def frame_features(self, frames):
        self.frames = frames
        return frames.mean(dim=(2, 3))


def test_the_image_networks_are_frame_wise():
    assert {"lenet", "resnet2d", "resnet_cifar"} <= set(FRAME_WISE)


@pytest.mark.parametrize("name", FRAME_WISE)
@pytest.mark.parametrize("num_frames", [1, 3])
def test_features_of_a_clip_are_the_mean_of_its_frames(name, num_frames):
    torch.manual_seed(0)
    backbone = BACKBONES.get(name)
    backbone = backbone(backbone.Options(**SMALL[name])).eval()
    video = torch.randn(2, 3, num_frames, 32, 40)
    with torch.no_grad():
        features = backbone(video)
        for clip, feature in zip(video, features, strict=True):
            frames = [backbone.frame_features(clip[None, :, t])[0] for t in range(num_frames)]
            expected = sum(frames) / num_frames
            torch.testing.assert_close(feature, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("num_frames", "layout"),
    [(1, torch.contiguous_format), (1, torch.channels_last_3d), (5, torch.channels_last_3d)],
)
def test_frames_are_not_copied(num_frames, layout):
    video = torch.randn(2, 3, num_frames, 4, 6).contiguous(memory_format=layout)
    recorder = Recorder()
    recorder(video)
    assert recorder.frames.data_ptr() == video.data_ptr()
    assert torch.equal(recorder.frames, torch.cat([clip.transpose(0, 1) for clip in video]))
    if layout == torch.channels_last_3d:
        assert recorder.frames.is_contiguous(memory_format=torch.channels_last)


def test_channels_last_3d_sets_the_2d_layout_and_keeps_the_rest():
    model = build_model("resnet_cifar", 5, **SMALL["resnet_cifar"])
    assert model.to(torch.float64, memory_format=torch.channels_last_3d) is model
    for parameter in model.parameters():
        assert parameter.dtype == torch.float64
        assert parameter.ndim != 4 or parameter.is_contiguous(memory_format=torch.channels_last)
