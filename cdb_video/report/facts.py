"""The cost of a run, and its machine, in a few lines."""

from collections.abc import Mapping, Sequence
from typing import Any


def run_facts(facts: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(name, value) from ``facts.jsonl``. For an epoch that was trained twice, the last counts."""
    sessions = [fact for fact in facts if "started" in fact]
    epochs = list({fact["epoch"]: fact for fact in facts if "epoch" in fact}.values())
    found: list[tuple[str, str]] = []
    if epochs:
        seconds = sum(_number(fact, "seconds") for fact in epochs)
        clips = sum(_number(f, "seconds") * _number(f, "clips_per_second") for f in epochs)
        waited = sum(_number(fact, "seconds") * _number(fact, "waiting") for fact in epochs)
        speed = clips / max(seconds, 1e-9)
        found = [
            ("Training", f"{_duration(seconds)} for {len(epochs)} epochs, without validation"),
            ("Speed", f"{speed:,.1f} clips a second, {waited / max(seconds, 1e-9):.0%} of the time "
             "waiting for data"),
            ("Most memory", f"{max(_number(f, 'memory_mb') for f in epochs) / 1e3:.2f} GB of the "
             "main process"),
        ]  # fmt: skip
    if sessions:
        last = sessions[-1]
        found += [
            ("Device", f"{last.get('device')}, {_many(last.get('processes'), 'process', 'es')} "
             f"with {_many(last.get('threads'), 'thread', 's')}"),
            ("Started", f"{sessions[0]['started']}" + _again(len(sessions))),
            ("Versions", ", ".join(f"{n} {last.get(n)}" for n in ("cdb_video", "torch", "python"))),
        ]  # fmt: skip
        found += [("Git revision", str(last["git"]))] if last.get("git") else []
    return found


def _again(count: int) -> str:
    return f", and {count - 1} times again after an interruption" if count > 1 else ""


def _number(fact: Mapping[str, Any], name: str) -> float:
    value = fact.get(name)
    return float(value) if isinstance(value, (int, float)) else 0.0


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _many(count: object, name: str, ending: str) -> str:
    return f"{count} {name}{'' if count == 1 else ending}"
