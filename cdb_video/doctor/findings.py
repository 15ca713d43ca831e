"""The findings of the doctor."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["ok", "warning", "error"]
NUM_SHOWN = 3
"""Examples that a finding names."""


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    level: Level
    topic: str
    text: str


@dataclass
class Diagnosis:
    """All findings, and the numbers behind them."""

    findings: list[Finding] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    """By topic; ready for JSON."""

    def add(self, level: Level, topic: str, text: str) -> None:
        """Appends a finding."""
        self.findings.append(Finding(level, topic, text))

    @property
    def has_errors(self) -> bool:
        """Whether a run should not be started like this."""
        return any(finding.level == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """For ``doctor.json``."""
        return {"findings": [asdict(finding) for finding in self.findings], **self.numbers}


def such_as(names: Iterable[object]) -> str:
    """``, such as a, b, c``; nothing where there are none."""
    shown = [str(name) for name in names][:NUM_SHOWN]
    return f", such as {', '.join(shown)}" if shown else ""
