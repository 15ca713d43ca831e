"""The options of decoding: the decoder, and which files are refused."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cdb_video.config.types import PositiveFloat, PositiveInt, may_change
from cdb_video.registry import DECODERS, Registered


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """Which library decodes, and how much it may be asked for."""

    decoder: Annotated[str, Registered(DECODERS)] = "pyav"
    """Library that decodes video files."""
    damage: Literal["accept", "refuse", "strict"] = may_change("refuse")
    """What happens to a damaged file. 'refuse' makes it a bad clip if it is cut short, if its
    container is torn, or if a frame on the way to the wanted ones is reported as damaged. 'strict'
    also does so if FFmpeg reports any error. 'accept' takes what decodes as the video. 'pyav' knows
    all of this. Other decoders only notice files that are cut short. See docs/reliability.md."""
    max_pixels: PositiveInt = may_change(100_000_000)
    """Pixels of one picture. A file with larger pictures is a bad clip."""
    max_frames: PositiveInt = may_change(1_000_000)
    """Frames that may be looked through for one clip. A file that needs more is a bad clip. A clip
    with a start and an end needs few if its file has an index."""

    image_fps: PositiveFloat = 30.0
    """Frame rate of clips that are folders of numbered images."""
    skip_loop_filter: bool = False
    """Decode H.264 and H.265 without the filter that smooths the edges of blocks. Decoding is
    faster and pixels differ. Only 'pyav' can do this. docs/performance.md says what it gains and
    changes."""

    def check_length(self, num_frames: int) -> None:
        """Raises ``ValueError`` where there are more frames than ``max_frames``."""
        if num_frames > self.max_frames:
            raise ValueError(f"it has more than {self.max_frames:,} frames (DATA.MAX_FRAMES)")
