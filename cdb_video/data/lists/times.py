"""Times as people write them in lists: seconds, clock times, decimal commas, units."""

import math
import re

FACTORS = {
    "": 1.0,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
}
"""Unit of a number -> seconds of one."""
CLOCK = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{1,2}(?:\.\d*)?)")
NUMBER = re.compile(r"([^a-z]*)\s*([a-z]*)", re.IGNORECASE)
THOUSANDS = re.compile(r"\d{1,3},\d{3}")
WRITE = "write seconds, such as 62.5, or a clock time, such as 0:01:02.5"


def seconds(text: str, unit: str = "", comma_is_decimal: bool = False) -> float:
    """The seconds in a cell: ``62.5``, ``62,5``, ``62.5 s``, ``1:02.5`` or ``0:01:02.5``.

    Args:
        unit: of a plain number; a key of ``FACTORS``.
        comma_is_decimal: ``1,234`` is 1.234, which otherwise might be 1234.

    Raises:
        ValueError: it is no time from 0; the message says what to write.
    """
    clock = CLOCK.fullmatch(text.strip().replace(",", "."))
    if clock:
        hours, minutes, rest = (float(part or 0) for part in clock.groups())
        if rest >= 60 or (clock[1] and minutes >= 60):
            raise ValueError(WRITE)
        return 3600 * hours + 60 * minutes + rest
    if THOUSANDS.fullmatch(text) and not comma_is_decimal:
        raise ValueError(f"the comma may stand for thousands or decimals: {WRITE}")
    try:
        number, own = float(text.replace(",", ".")), unit
    except ValueError:
        parts = NUMBER.fullmatch(text.strip())
        if not parts or parts[2].lower() not in FACTORS:
            raise ValueError(WRITE) from None
        try:
            number, own = float(parts[1].replace(",", ".")), parts[2].lower()
        except ValueError:
            raise ValueError(WRITE) from None
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(WRITE)
    return number * FACTORS[own]
