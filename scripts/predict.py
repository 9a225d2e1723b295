"""Apply a trained classifier or tagger to texts or to a file; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("predict"))
