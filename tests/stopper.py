"""A run that imports this stops itself: with signal STOP_BY, once STOP_FILE has STOP_LINES lines.

Of several processes the one of rank STOP_RANK does, the first by default. STOP_STAMP gets the time,
and where it is there already nothing is stopped.

From within, so that a busy machine cannot let the run end before the signal comes.
"""

import os
import signal
import threading
import time
from pathlib import Path


def stop():
    stamp = os.environ.get("STOP_STAMP")
    if stamp and Path(stamp).exists():
        return  # it has been stopped before, and was started again
    path, lines = Path(os.environ["STOP_FILE"]), int(os.environ["STOP_LINES"])
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        time.sleep(0.001)
    if stamp:
        Path(stamp).write_text(str(time.time()))
    os.kill(os.getpid(), int(os.environ["STOP_BY"]))


# As in a terminal: what a shell runs in the background ignores this signal, children included.
signal.signal(signal.SIGINT, signal.default_int_handler)
if os.environ.get("RANK", "0") == os.environ.get("STOP_RANK", "0"):
    threading.Thread(target=stop, daemon=True).start()
