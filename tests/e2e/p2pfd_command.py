"""`p2pfd`, importable by `python -m` from any directory."""

import sys

from p2pfd.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
