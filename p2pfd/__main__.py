"""`python -m p2pfd` is the command `p2pfd`."""

from __future__ import annotations

import sys

from p2pfd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
