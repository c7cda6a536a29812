"""`python -m gateway.audit.sealing DIRECTORY [PARENT]`: seal what waits in one log. Started by the keeper."""

import sys
from pathlib import Path

from gateway.audit.sealing.child import run

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
