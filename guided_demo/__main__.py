"""`python -m guided_demo`: see cli.py."""

import signal
import sys

from guided_demo.cli import main

signal.signal(signal.SIGTERM, signal.default_int_handler)  # no half-written file is left then, as with Ctrl+C
try:
    try:
        sys.exit(main())
    finally:
        print(end="", flush=True)  # or Python would do it later, and complain in words of its own
except BrokenPipeError:
    # Who reads what is printed has gone, as in `… | head -1`: it ends as other programs do then.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.raise_signal(signal.SIGPIPE)
