"""Run the command line as ``python -m sptrack``."""

import sys

from sptrack.cli import main

sys.exit(main())
