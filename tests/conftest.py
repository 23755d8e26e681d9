"""Before anything is imported: one thread a library.

The suite runs in as many processes as there are cores; with threads besides, they wait for one another for most of the
time. A test that is about threads sets them itself.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
