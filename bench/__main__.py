"""`python -m bench [name …]`."""

import sys
from importlib import import_module

NAMES = ["dispatch", "writer", "bulk", "latency"]

for name in sys.argv[1:] or NAMES:
    if name not in NAMES:
        sys.exit(f"There is no benchmark {name!r}. There are: {', '.join(NAMES)}.")
    import_module(f"bench.{name}").main()
