"""Write docs/validation.md anew: every block of output under "`learnersim validate KIND`", and the figures; `make validate`.

python docs/regenerate_validation.py [KIND ...]   (all kinds by default)
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from simulator.cli.validate import KINDS

DOCUMENT = Path(__file__).parent / "validation.md"
PICTURES = Path(__file__).parent / "pictures"
WIDTH = 130
"""Columns of the terminal that the blocks were printed on."""


def _with(output: str, block: re.Match[str]) -> str:
    return f"{block[1]}{output}{block[3]}"


def main() -> int:
    """Run every kind of validation; the document is written once all have answered."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for kind in sys.argv[1:] or KINDS:
        print(f"validate {kind}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "simulator", "validate", kind, "--out", folder, "--force", "--figures"]
            done = subprocess.run(
                command, check=True, capture_output=True, text=True, encoding="utf-8", env={**os.environ, "COLUMNS": str(WIDTH)}
            )
            for figure in Path(folder).glob("*.png"):
                shutil.copyfile(figure, PICTURES / f"validation-{kind}.png")
        lines = [line.rstrip() for line in done.stdout.splitlines() if not line.startswith("wrote ")]
        while lines and not lines[-1]:
            lines.pop()
        block = re.compile(rf"(`learnersim validate {kind}`[^\n]*\n+```text\n)(.*?)(\n```)", re.DOTALL)
        text, found = block.subn(partial(_with, "\n".join(lines)), text)
        if found != 1:
            print(f"{DOCUMENT}: must have one block of `validate {kind}`, got {found}", file=sys.stderr)
            return 1
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
