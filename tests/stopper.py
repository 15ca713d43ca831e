"""A run that imports this stops itself: with signal STOP_BY, once STOP_FILE has STOP_LINES lines.

From within, so that a busy machine cannot let the run end before the signal comes.
"""

import os
import signal
import threading
import time
from pathlib import Path


def stop():
    path, lines = Path(os.environ["STOP_FILE"]), int(os.environ["STOP_LINES"])
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        time.sleep(0.001)
    os.kill(os.getpid(), int(os.environ["STOP_BY"]))


# As in a terminal: what a shell runs in the background ignores this signal, children included.
signal.signal(signal.SIGINT, signal.default_int_handler)
if os.environ.get("RANK", "0") == "0":
    threading.Thread(target=stop, daemon=True).start()
