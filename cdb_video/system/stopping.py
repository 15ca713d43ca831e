"""Notes signals that ask a run to stop, so that it can finish its step and save first."""

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
        number: of the signal; None before one has come.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self.number is not None

    def stopped(self, where: str) -> Stopped:
        """The error that ends the run. ``where`` says where the run is."""
        name = signal.Signals(self.number).name if self.number else "another process's wish"
        number = self.number or signal.SIGTERM
        return Stopped(f"stopped by {name} after {where}; the same command goes on there", number)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Notes the first signal that asks this process to stop within the block.

    A second Ctrl-C ends the process at once. Other signals may repeat. Signals that the process
    ignores, for example after ``nohup``, stay ignored. Only the main thread gets signals.
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
