"""`python -m blocks` is the command `blocks`."""

from __future__ import annotations

from blocks.cli.main import main

if __name__ == "__main__":
    main(prog_name="blocks")
