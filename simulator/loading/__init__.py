"""TOML files to checked objects: units converted once, every fault found, each with its file and key.

The steps: `read_toml` gives plain tables; `split_provenance` takes `{ value, low, high, source, date, verified }` apart;
`merge` lays one table over another; `structure` turns a table into a frozen dataclass and reports all faults at once.
"""

from simulator.loading.files import Provenance, Table, merge, read_toml, split_provenance, values_of
from simulator.loading.structure import CONVERTER, structure, structure_kind
from simulator.loading.units import quantity, unit_of

__all__ = [
    "CONVERTER",
    "Provenance",
    "Table",
    "merge",
    "quantity",
    "read_toml",
    "split_provenance",
    "structure",
    "structure_kind",
    "unit_of",
    "values_of",
]
