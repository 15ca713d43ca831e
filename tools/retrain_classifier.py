"""Another classifier: ``python tools/retrain_classifier.py --cfg FILE METHOD crt KEY VALUE ...``.

METHOD is crt, lws, tau_norm or ncm; the result goes to OUTPUT_DIR/<method>.
"""

import sys

from cdb_video.commands import run

if __name__ == "__main__":
    sys.exit(run("retrain"))
