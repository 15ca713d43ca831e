"""The demo data set: its clips, and their files in the layout of EGTEA Gaze+."""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from rich.progress import track

from cdb_video.demo.camera_motion import FPS, MOTIONS, PHOTOS, Shot, write_clip
from cdb_video.errors import ConfigError, DataError
from cdb_video.system.files import replacing_folder

VERSION = 2
"""Goes up when the same seed gives other files, so that old demo data is made anew."""
STAMP = "demo_data.json"

# A tail of 22 to 1 in training. Opposite motions lie far apart in it, so that the rare one is
# easily taken for the frequent one.
NUM_TRAIN = {
    "Pan left": 110,
    "Still": 78,
    "Tilt up": 56,
    "Zoom in": 40,
    "Roll left": 28,
    "Shake": 20,
    "Pan right": 14,
    "Tilt down": 10,
    "Zoom out": 7,
    "Roll right": 5,
}
NUM_VAL, NUM_TEST = 12, 20
TRAIN_SUBJECTS, VAL_SUBJECTS = range(1, 20), range(20, 27)
NUM_FRAMES = range(FPS, 3 * FPS + 1)


class Clip(NamedTuple):
    """One clip of the demo data: its name without folder and ending, and what it shows."""

    name: str
    shot: Shot

    @property
    def session(self) -> str:
        """The folder of the clip: subject, recipe and dish."""
        return "-".join(self.name.split("-")[:3])

    @property
    def path(self) -> Path:
        """Where the clip lies under the root."""
        return Path("cropped_clips", self.session, f"{self.name}.mp4")

    @property
    def ids(self) -> tuple[int, int, int]:
        """Action, verb and noun, each counted from 1."""
        verb, noun = list(MOTIONS).index(self.shot.verb), PHOTOS.index(self.shot.photo)
        return verb * len(PHOTOS) + noun + 1, verb + 1, noun + 1


def plan_clips(seed: int, num_train: Mapping[str, int] = NUM_TRAIN) -> list[Clip]:
    """Every clip of the demo data in the order of its action, verb and noun.

    A session is one subject filming one photograph, clip after clip. As in EGTEA the name holds
    the time of the motion in milliseconds and the frames of the file, ``[start, end)``, which is
    a tenth of that time longer at either end.
    """
    rng = np.random.default_rng(seed)
    sessions: defaultdict[str, list[Shot]] = defaultdict(list)
    number_of_shots = itertools.count()
    for verb, num in num_train.items():
        for part, count in {"train": num, "val": NUM_VAL, "test": NUM_TEST}.items():
            for number in range(count):
                subject = int(rng.choice(VAL_SUBJECTS if part == "val" else TRAIN_SUBJECTS))
                photo = number % len(PHOTOS)
                session = f"P{subject:02d}-R{photo + 1:02d}-{PHOTOS[photo].capitalize()}"
                num_frames = int(rng.choice(NUM_FRAMES))
                shot_seed = seed, next(number_of_shots)
                sessions[session].append(Shot(verb, PHOTOS[photo], part, num_frames, shot_seed))
    clips = []
    for session, shots in sessions.items():
        frame = 0
        for position in rng.permutation(len(shots)):
            shot = shots[position]
            start, end = frame, frame + shot.num_frames
            pad = shot.num_frames / 12
            millis = f"{(start + pad) / FPS * 1000:.0f}-{(end - pad) / FPS * 1000:.0f}"
            clips.append(Clip(f"{session}-{millis}-F{start:06d}-F{end:06d}", shot))
            frame = end + int(rng.integers(FPS, 10 * FPS))
    return sorted(clips, key=lambda clip: (clip.ids, clip.name))


def names_in_test(clips: list[Clip], seed: int) -> Iterator[set[str]]:
    """The names of the test clips in splits 1, 2 and 3; the other clips are for training.

    Split 1 keeps the parts of the photographs apart. The others draw as many clips of each verb
    anew from the subjects that are not held out for validation.
    """
    yield {clip.name for clip in clips if clip.shot.part == "test"}
    for split in (2, 3):
        rng = np.random.default_rng((seed, split))
        names: set[str] = set()
        for verb in MOTIONS:
            known = [c.name for c in clips if c.shot.verb == verb and c.shot.part != "val"]
            names.update(rng.choice(known, NUM_TEST, replace=False).tolist())
        yield names


def write_annotations(folder: Path, clips: list[Clip], seed: int) -> None:
    """Write the three id files and the lists of the three splits."""
    folder.mkdir()
    actions = [f"{verb} {photo}" for verb in MOTIONS for photo in PHOTOS]
    for kind, words in {"action": actions, "verb": [*MOTIONS], "noun": [*PHOTOS]}.items():
        lines = [f"{word} {number}\n" for number, word in enumerate(words, 1)]
        (folder / f"{kind}_idx.txt").write_text("".join(lines))
    for split, names in enumerate(names_in_test(clips, seed), 1):
        lists: dict[str, list[str]] = {"train": [], "test": []}
        for clip in clips:
            line = f"{clip.name} {' '.join(map(str, clip.ids))}\n"
            lists["test" if clip.name in names else "train"].append(line)
        for kind, lines in lists.items():
            (folder / f"{kind}_split{split}.txt").write_text("".join(lines))


def write_clips(root: Path, clips: list[Clip], num_workers: int) -> None:
    """Write the clips under ``root`` with a progress bar; any number of workers, same files."""
    for session in {clip.path.parent for clip in clips}:
        (root / session).mkdir(parents=True)
    paths, shots = [root / clip.path for clip in clips], [clip.shot for clip in clips]
    # Workers are spawned, because a fork of a process that runs threads can hang.
    with ProcessPoolExecutor(
        num_workers, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)
    ) as pool:
        done = pool.map(write_clip, paths, shots, chunksize=4)
        for _ in track(done, "Filming the demo clips", total=len(clips)):
            pass


def make_demo_data(
    out: Path,
    seed: int = 0,
    num_workers: int | None = None,
    num_train: Mapping[str, int] = NUM_TRAIN,
) -> Path:
    """Make the demo data in the folder ``out``, unless it is there already, and return ``out``.

    The folder appears only when it is complete. Demo data of another seed, other sizes or
    another version of this module is replaced.

    Args:
        out: the root of the data set, for ``DATA.EGTEA.ROOT``.
        seed: >= 0; the same seed and libraries give the same bytes.
        num_workers: processes; ``None`` is one a core, at most 8.
        num_train: training clips of each verb.

    Raises:
        ConfigError: the seed is negative.
        DataError: ``out`` holds something that is not demo data.
    """
    if seed < 0:
        raise ConfigError(f"the seed of the demo data must be an integer >= 0, got {seed}")
    clips = plan_clips(seed, num_train)
    sizes = {"num_train": dict(num_train)} if num_train != NUM_TRAIN else {}
    stamp = json.dumps({"version": VERSION, "seed": seed, "clips": len(clips), **sizes})
    if (out / STAMP).is_file():
        found = sum(1 for _ in out.glob("cropped_clips/*/*.mp4"))
        if (out / STAMP).read_text() == stamp and found == len(clips):
            print(f"{out}: the demo data is there already ({found} clips)")
            return out
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out} must be a new or empty folder or demo data, got something else")
    with replacing_folder(out) as root:
        write_clips(root, clips, num_workers or min(os.cpu_count() or 1, 8))
        write_annotations(root / "action_annotation", clips, seed)
        (root / STAMP).write_text(stamp)
    print(f"{out}: made {len(clips)} clips")
    return out
