"""python -m counterfoil train ..., evaluate ..., new ...: the programs by their names."""

import sys

from counterfoil.run import command
from counterfoil.run.new import main as new
from counterfoil.util.command import INSTALLED, MODULE

PROGRAMS = {"train": command.train, "evaluate": command.evaluate, "new": new}

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROGRAMS:
        sys.exit(f"error: {MODULE}{name}: expected one of {', '.join(PROGRAMS)}; its options come after")
    # Hydra completes the words of a command of one word alone
    completes = {"-sc", "--shell-completion"} & set(sys.argv)
    sys.argv[:2] = [(INSTALLED if completes else MODULE) + name]
    PROGRAMS[name]()
