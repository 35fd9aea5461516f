"""`python -m bench [name …] [options of these]`."""

import gc
import os
import sys
from importlib import import_module
from itertools import takewhile

NAMES = ["dispatch", "writer", "bulk", "latency", "fanout", "through_database", "subscribe",
         "memory", "stuck", "reconnect", "storm", "methods", "hooks", "workers",
         "logins"]  # fmt: skip

gc.disable()  # a pause of the clients would look like one of the server
names = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
arguments = sys.argv[1 + len(names) :]
if not names and arguments:
    print(__doc__, "\n\n`python -m bench NAME --help` tells the options of one.\n")
    for name in NAMES:
        print(f"  {name:18}{import_module(f'bench.{name}').__doc__.splitlines()[0]}")
    sys.exit()
for name in names or NAMES:
    if name not in NAMES:
        sys.exit(f"There is no benchmark {name!r}. There are: {', '.join(NAMES)}.")
    import_module(f"bench.{name}").main(arguments)
    print(f"\nThe machine's load: {os.getloadavg()[0]:.1f}, on {os.cpu_count()} cores.")
