"""`python -m hf_rnn`, which is the `hf-rnn` command, and what `accelerate launch -m` starts."""

import sys

from hf_rnn.commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
