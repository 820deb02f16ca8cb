"""What importing the network costs: numba and networkx come when they are needed."""

from __future__ import annotations

import subprocess
import sys

from tests.support import ROOT

ASKED = """
import sys
from simulator.network.collectives import ring
from simulator.network.fabric import collective_time
from simulator.network.topologies import star
assert collective_time(star(8, bandwidth_bytes_per_s=1e9), ring(8, 1e6)).path == "symmetry"
print(sorted({"numba", "networkx", "scipy", "pandas"} & set(sys.modules)))
"""


def test_a_symmetric_collective_needs_numpy_alone() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
