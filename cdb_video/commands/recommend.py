"""The command ``recommend``."""

import shlex
from collections.abc import Sequence

from cdb_video import options
from cdb_video.commands.with_config import make_parser, parse

DESCRIPTION = (
    "Say which losses to try first, and why: by the class sizes, the clips for validation and test "
    "and, where OUTPUT_DIR holds a run, by which classes it found hard. Reads lists, no clips, "
    "and changes nothing. Ends with the command that compares them."
)


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> None:
    """Prints reasons and the command. Raises ``CdbVideoError``."""
    words = parse(make_parser(prog, DESCRIPTION, ""), argv)
    config = options.load(words.cfg, words.opts, trust_imports=words.trust_imports)
    from rich.console import Console
    from rich.text import Text

    from cdb_video.commands.rows import print_rows
    from cdb_video.data.lists.splits import Splits
    from cdb_video.doctor.recommend import recommend
    from cdb_video.output.run_folder import RunFolder
    from cdb_video.registry import DATASETS

    screen = Console(markup=False, highlight=False)
    dataset = DATASETS.get(config.data.name)(config.data.options)
    names = dataset.splits_there(lambda name, error: screen.print(f"without {name}: {error}"))
    folder = RunFolder(config.output_dir)
    history = folder.difficulties() if folder.difficulty.exists() else []
    result = recommend(config, Splits(dataset, names), names, history)
    print_rows((Text(topic, "bold"), Text(reason)) for topic, reason in result.reasons)
    pairs = dict(zip(words.opts[::2], words.opts[1::2], strict=True))
    # The comparison goes beside the run, not into it.
    pairs |= {"OUTPUT_DIR": f"{config.output_dir.rstrip('/')}_losses", **result.options}
    command = ["cdb-video", "compare", "--cfg", str(words.cfg)]
    command += ["--trust-imports"] if words.trust_imports else []
    command += ["--losses", ",".join(result.losses), "--methods", "crt,ncm"]
    command += ["--seeds", str(result.seeds), *(word for pair in pairs.items() for word in pair)]
    print(f"\n{shlex.join(command)}")
