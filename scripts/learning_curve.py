"""Measure a learning curve beside a baseline; `--help` lists the options."""

import sys

from hf_rnn.commands.cli import run

if __name__ == "__main__":
    sys.exit(run("learning_curve"))
