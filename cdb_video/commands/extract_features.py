"""The command ``extract-features``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.arguments import (
    add_loading,
    add_videos,
    found_videos,
    model_parser,
    opened_predictor,
)

DESCRIPTION = (
    "What the backbone makes of each clip, the input of its classifier, as an .npz or .safetensors "
    "file with labels, predictions, paths and class names; and as a picture in two dimensions, in "
    "which the clips of minority classes are marked."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Extracts features; returns 1 where a clip could not be decoded. Raises ``CdbVideoError``."""
    parser = model_parser(prog, DESCRIPTION)
    add = parser.add_argument
    add_videos(parser, "*")
    text = "of its data set, where no videos are named (test)"
    add("--split", choices=("train", "val", "test"), help=text)
    add("--out", required=True, type=Path, metavar="FILE", help=".npz or .safetensors")
    add("--map", type=Path, metavar="PNG", help="draw the clips in two dimensions, too")
    add("--method", choices=("pca", "tsne"), default="pca", help="for --map (pca)")
    add_loading(parser)
    words = parser.parse_args(argv)
    from cdb_video.engine.record.log import console
    from cdb_video.engine.use.embedding import (
        FORMATS,
        embed,
        in_two_dimensions,
        split_records,
        write_embedding,
    )
    from cdb_video.system.names import check_new, check_outputs

    if words.out.suffix not in FORMATS:
        parser.error(f"--out must end in {' or '.join(FORMATS)}, got {words.out}")
    if words.videos and words.split:
        parser.error("--split takes the clips of the data set: name no videos beside it")
    outputs = [words.out, *filter(None, [words.map])]
    check_outputs(outputs, [words.checkpoint, *words.videos])
    check_new(*outputs)
    records = found_videos(words.videos, words.root)
    predictor = opened_predictor(words)
    records = records or split_records(predictor, words.split or "test")
    found = embed(predictor, records, words.batch_size, words.workers, console())
    write_embedding(words.out, found)
    print(words.out)
    if words.map:
        from cdb_video.report.scatter import draw_scatter

        labels = found.labels if (found.labels >= 0).all() else found.predictions
        title = f"{words.method} of {len(labels)} clips"
        title += "" if labels is found.labels else ", coloured by what the model says"
        points = in_two_dimensions(found.features, words.method)
        marked = predictor.minority
        draw_scatter(words.map, title, points, labels, found.class_names, marked)
        print(words.map)
    for reason in found.bad:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if found.bad else 0
