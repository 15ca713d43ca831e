"""The command ``explain``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.arguments import add_videos, found_videos, model_parser, opened_predictor

DESCRIPTION = (
    "Show where a network looked: Grad-CAM over space and time for convolutional networks, "
    "gradient times activation of the tokens for transformers. Writes a film strip (PNG) and the "
    "clip (mp4) with what spoke for the class drawn over it."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Explains videos; returns 1 where one could not be decoded. Raises ``CdbVideoError``."""
    parser = model_parser(prog, DESCRIPTION)
    add = parser.add_argument
    add_videos(parser, "+")
    add("--class", dest="class_name", metavar="NAME", help="to explain (the predicted one)")
    add("--out", type=Path, default=Path("explained"), metavar="DIR", help="(explained)")
    words = parser.parse_args(argv)
    import numpy as np

    from cdb_video.engine.use.explain import all_frames, explain, with_heat
    from cdb_video.engine.use.film import write_film
    from cdb_video.errors import DataError, DecodeError
    from cdb_video.report.heat_strip import draw_heat_strip
    from cdb_video.system.names import name_for

    records = found_videos(words.videos, words.root)
    predictor = opened_predictor(words)
    failed = 0
    for record in dict.fromkeys(records):
        try:
            found = explain(predictor, record, words.class_name)
            start = words.out / name_for(record.path, record.start, record.end)
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
