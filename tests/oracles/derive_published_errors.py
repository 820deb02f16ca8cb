"""Write simulator/validation/data/published_errors.csv: what every kind of `validate` says of its shipped data (minutes).

python -m tests.oracles.derive_published_errors
"""

from __future__ import annotations

from simulator.cli.validate import KINDS
from simulator.tables import write_table
from simulator.validation.published import PUBLISHED_ERRORS, error_rows

if __name__ == "__main__":
    write_table(PUBLISHED_ERRORS, [row for kind, one in KINDS.items() for row in error_rows(kind, one.load(None))])
