"""Train, evaluate and apply a tagger; `--help` lists the options."""

from hf_rnn.token_classification import main

if __name__ == "__main__":
    main()
