"""Asks to stop by signal are noted, so that a run can finish its step and save first."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cdb_video.errors import Stopped

SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
"""Those that ask: of a scheduler, a terminal, a scheduler's warning, a terminal that closes."""


class StopRequest:
    """Whether this process was asked to stop.

    Attributes:
        number: of the signal that asked; None while none has.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    def stopped(self, where: str) -> Stopped:
        """The error that ends the run, which is ``where``."""
        name = signal.Signals(self.number).name if self.number else "another process's wish"
        number = self.number or signal.SIGTERM
        return Stopped(f"stopped by {name} after {where}; the same command goes on there", number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the first signal that asks this process to stop, in the block.

    A second Ctrl-C ends it at once, as it would without; other signals may repeat. What this
    process was told to ignore, as by ``nohup``, it ignores. Threads other than the main one are
    never asked.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, frame: FrameType | None) -> None:
        if request.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        request.number = request.number or number

    before = {}
    for name in SIGNALS:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
