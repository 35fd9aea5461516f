"""`python -m ddpcore`: the command line."""

import sys

from ddpcore.cli import main

sys.exit(main())
