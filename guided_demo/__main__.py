"""`python -m guided_demo`: see cli.py."""

import sys

from guided_demo.cli import main

sys.exit(main())
