# SPDX-License-Identifier: MIT
"""Start rigpanel: `python -m rigpanel`."""

import sys

from rigpanel.cli import main

if __name__ == "__main__":
    sys.exit(main())
