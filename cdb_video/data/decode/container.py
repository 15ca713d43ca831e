"""Opens files with FFmpeg, through PyAV, and collects its complaints."""

from collections.abc import Iterator
from contextlib import contextmanager

import av
import av.logging
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from cdb_video.data.decode.decoding import Decoding


def open_video(path: str, decoding: Decoding) -> tuple[InputContainer, VideoStream]:
    """Opens ``path`` with one thread: the loader's workers already run in parallel.

    Raises:
        ValueError: it holds no video stream; or what PyAV raises.
    """
    detect = {} if decoding.damage == "accept" else {"err_detect": "crccheck+explode"}
    # Playlists may name addresses. Nothing is downloaded.
    options = {**detect, "protocol_whitelist": "file"}
    container = av.open(path, metadata_errors="replace", options=options)
    try:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            raise ValueError("it holds no video stream")
        if stream.disposition & Disposition.attached_pic:
            raise ValueError("it holds a cover picture and no video")
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        # Other codecs would stop at harmless things, such as a cut within an open GOP.
        if decoding.damage != "strict" and stream.codec.canonical_name != "mjpeg":
            detect = {}
        filters = {"skip_loop_filter": "all"} if decoding.skip_loop_filter else {}
        pixels = {"max_pixels": str(decoding.max_pixels)}
        stream.codec_context.options = {**detect, **pixels, **filters}
    except BaseException:
        container.close()
        raise
    return container, stream


@contextmanager
def listening(container: InputContainer, decoding: Decoding) -> Iterator[None]:
    """Raises FFmpeg's complaints in the block, if DATA.DAMAGE asks for that.

    Raises:
        ValueError: the complaint.
    """
    if decoding.damage == "accept":
        yield
        return
    name = container.format.name
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as said:
            yield
    finally:
        av.logging.set_level(None)
    for _, speaker, message in said:
        if decoding.damage == "strict" or speaker == name:
            raise ValueError(f"FFmpeg reports: {message.strip()}")
