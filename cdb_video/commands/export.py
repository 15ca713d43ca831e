"""The command ``export``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cdb_video.commands.arguments import add_root, found_videos, model_parser, positive

DESCRIPTION = (
    "Write a trained model for programs without this package: uint8 clips (B, 3, T, H, W) in, "
    "class probabilities out. It is run on real clips first; one that differs is not written, and "
    "the exit code is then 1."
)
FORMATS = ("onnx", "torch_export", "safetensors")


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Exports; returns 1 where the result differs. Raises ``CdbVideoError``."""
    parser = model_parser(prog, DESCRIPTION)
    add = parser.add_argument
    add("--format", required=True, choices=FORMATS, help="docs/export.md compares them")
    add("--out", required=True, type=Path, metavar="FILE", help="file to write")
    listed = "videos, folders or lists to check it on (the model's own test split)"
    add("--clips", nargs="*", default=[], metavar="VIDEO", help=listed)
    add("--num-clips", type=positive, default=16, metavar="N", help="clips to check it on (16)")
    add_root(parser)
    words = parser.parse_args(argv)
    from cdb_video.engine.use.export import ParityError, export, own_records
    from cdb_video.engine.use.predictor import load
    from cdb_video.system.names import check_new, check_outputs

    check_outputs([words.out], [words.checkpoint, *words.clips])
    check_new(words.out)
    predictor = load(words.checkpoint, "cpu", words.imports)
    if words.clips:
        records = found_videos(words.clips, words.root)[: words.num_clips]
    else:
        records = own_records(predictor, words.num_clips)
    try:
        parity = export(predictor, words.format, words.out, records)
    except ParityError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"largest difference {parity.largest_difference:.1e}, same class in {parity.num_same} of "
        f"{parity.num_clips} clips"
    )
    print(words.out)
    return 0
