"""`python -m guided_demo`: see cli.py."""

import signal
import sys

from guided_demo.cli import main

signal.signal(signal.SIGTERM, signal.default_int_handler)  # no half-written file is left then, as with Ctrl+C
sys.exit(main())
