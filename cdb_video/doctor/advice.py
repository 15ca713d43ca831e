"""Which losses to try first: the table of README, docs/results.md and ``recommend``."""

from typing import NamedTuple

SAFE, PAPER = "cdb_ce:tau=1:momentum=0.7", "cdb_ce:tau=dynamic:momentum=0"
FEW = 12
"""Validation clips of a class below which its recall is noise of more than 10 points."""


class Advice(NamedTuple):
    """A row. Its numbers are those of docs/results.md."""

    data: str
    """For which data."""
    first: str
    """What to try first, in Markdown."""
    evidence: str
    """What was measured, in Markdown."""
    losses: tuple[str, ...]
    """What ``compare`` is given for it, beside cross entropy."""

    def __str__(self) -> str:
        return f"try first {self.first}. Measured: {self.evidence}".replace("`", "")


UNEVEN_SIZES = Advice(
    "classes differ in size",
    "`cdb_logit`; in long runs from scratch `balanced_softmax`",
    "`balanced_softmax` has the same mean on kept features and in short runs, and a weaker worst "
    "class; it is ahead by 0.8 where the whole network learns for 100 epochs",
    ("balanced_softmax", "cdb_logit"),
)
EQUAL_SIZES = Advice(
    "classes of equal size",
    "`cross_entropy`; `cdb_logit`, if the worst class matters",
    "`cdb_logit` raised the class recognised least at no cost to the mean",
    ("cdb_logit",),
)
WORST_CLASS = Advice(
    "one class must not be lost, or labels of a class are doubtful",
    "`cdb_logit`",
    "the worst class gains 4 points over `balanced_softmax` on eight sets of kept features",
    ("cdb_logit",),
)
HARD_LARGE = Advice(
    "large classes are the hard ones",
    "`cdb_logit`; on video from scratch `cdb_ce` with `TAU 1 MOMENTUM 0.7`",
    "correcting for sizes gained nothing there",
    ("cdb_logit", SAFE),
)
REAL_CLIPS = Advice(
    "real clips",
    "`cdb_ce` in the paper's form (`configs/egtea_cdb.yaml`), `cdb_logit`, `balanced_softmax`",
    "the paper's form was ahead, most of all in the worst class; on the demo's made clips, from "
    "scratch, it loses 23.9 ± 9.2 points, and `cdb_logit` gains 3.0 ± 4.1",
    (SAFE, PAPER),
)
IMAGES = Advice(
    "images, trained from scratch",
    "`balanced_softmax`, `cdb_logit`; `cdb_ce` only with `TAU 1 MOMENTUM 0.7`",
    "the paper's form swings, also over 100 epochs",
    (SAFE,),
)
FEW_VALIDATION = Advice(
    f"fewer than {FEW} validation clips a class, or none",
    "`cdb_logit`; `cdb_ce` with `MOMENTUM 0.7`",
    "`TOLERANCE` of `cdb_logit` allows for the noise of few clips",
    (SAFE,),
)
TABLE = (
    UNEVEN_SIZES,
    WORST_CLASS,
    HARD_LARGE,
    REAL_CLIPS,
    EQUAL_SIZES,
    IMAGES,
    FEW_VALIDATION,
)
