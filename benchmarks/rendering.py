"""How fast are synthetic people rendered?    .venv/bin/python benchmarks/rendering.py [--quick]

Crops of the default size a second, on one core and on all of them, with one process a core; their start is included.
The goal is 100 on two cores. (The processes read this file again, so it imports nothing heavy.)
"""

import argparse
import os
import time

from rich.console import Console

from training.data.synthetic import SyntheticSpec, plan, render_many

console = Console(width=130)


def measure(count: int) -> None:
    spec = SyntheticSpec()
    crops = plan(spec)[:count]
    height, width = spec.size
    render_many(spec, crops[:20])  # what is computed once a process
    for workers in sorted({1, os.cpu_count() or 1}):
        began = time.perf_counter()
        render_many(spec, crops, workers)
        speed = len(crops) / (time.perf_counter() - began)
        console.print(f"{len(crops):,} crops of {height} x {width} on {workers} cores: {speed:,.0f} a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 crops instead of 1,000")
    measure(200 if parser.parse_args().quick else 1000)
