"""Runs a 2D network on each frame of a clip and averages over time."""

from torch import Tensor

from cdb_video.models.backbone import Backbone


class FrameWise(Backbone):
    """Base of the image networks, as in Wang et al., "Temporal Segment Networks", ECCV 2016, with
    average consensus. An image is a clip of one frame. For batch norm and drop path, each
    frame is a sample.
    """

    def forward(self, video: Tensor) -> Tensor:
        """Features (B, num_features) of clips (B, 3, T, H, W)."""
        frames = video.transpose(1, 2).flatten(0, 1)  # no copy if T = 1 or channels come last
        features = self.frame_features(frames)
        return features.reshape(video.shape[0], video.shape[2], self.num_features).mean(dim=1)

    def frame_features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, num_features), in a subclass."""
        raise NotImplementedError
