"""`localnet`, importable by `python -m` from any directory."""

import sys

from p2pfd_localnet.main import main

if __name__ == "__main__":
    sys.exit(main())
