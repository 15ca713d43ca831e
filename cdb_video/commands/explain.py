"""The command ``explain``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.arguments import model_parser

DESCRIPTION = (
    "Show where a network looked: Grad-CAM over space and time for convolutional networks, "
    "gradient times activation of the tokens for transformers. Writes a film strip (PNG) and the "
    "clip (mp4) with what spoke for the class drawn over it."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Explains videos; returns 1 where one could not be decoded. Raises ``CdbVideoError``."""
    parser = model_parser(prog, DESCRIPTION)
    add = parser.add_argument
    add("videos", nargs="+", metavar="VIDEO", help="files, folders, or CSV files with path")
    add("--class", dest="class_name", metavar="NAME", help="to explain (the predicted one)")
    add("--out", type=Path, default=Path("explained"), metavar="DIR", help="(explained)")
    words = parser.parse_args(argv)
    import numpy as np

    from cdb_video.data.lists.found import find_videos
    from cdb_video.engine.use.explain import all_frames, explain, with_heat
    from cdb_video.engine.use.film import write_film
    from cdb_video.engine.use.predictor import load
    from cdb_video.errors import DataError, DecodeError
    from cdb_video.report.heat_strip import draw_heat_strip

    records = find_videos(words.videos)
    predictor = load(words.checkpoint, words.device, words.imports)
    failed = 0
    for number, record in enumerate(records):
        try:
            found = explain(predictor, record, words.class_name)
            name = Path(record.path).stem
            start = words.out / (name if len(records) == 1 else f"{number:06d}_{name}")
            pairs = zip(found.clip, found.heat, strict=True)
            overlay = np.stack([with_heat(picture, heat) for picture, heat in pairs])
            title = f"{found.class_name}  {100 * found.score:.0f} %"
            draw_heat_strip(Path(f"{start}.png"), title, found.clip, overlay, found.times)
            film = all_frames(predictor, record, found)
            write_film(Path(f"{start}.mp4"), film, predictor.frame_rate([record]))
        except (DataError, DecodeError) as error:
            failed += 1
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{start}.png", f"{start}.mp4", sep="\n")
    return 1 if failed else 0
