"""The prediction for one video."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Prediction:
    """The prediction for one video, or for a part of it."""

    path: str
    """Empty for an array."""
    start: float | None
    """Seconds; None is the beginning."""
    end: float | None
    """Seconds; None is the end."""
    class_names: list[str]
    """(K,), by id."""
    scores: npt.NDArray[np.float64]
    """(K,) class probabilities; all 0 where there is an error."""
    error: str = ""
    """Why there are none, in one line; empty where all went well."""

    @property
    def class_id(self) -> int:
        """The class of the highest score; -1 after an error."""
        return -1 if self.error else int(self.scores.argmax())

    @property
    def class_name(self) -> str:
        """Its name; empty after an error."""
        return "" if self.error else self.class_names[self.class_id]

    @property
    def score(self) -> float:
        """Its probability."""
        return float(self.scores.max())

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Names and probabilities of the ``k`` most likely classes, the best first."""
        best = np.argsort(-self.scores, kind="stable")[: 0 if self.error else k]
        return [(self.class_names[c], float(self.scores[c])) for c in best]
