"""Train, evaluate and apply a text classifier; `--help` lists the options."""

from hf_rnn.text_classification import main

if __name__ == "__main__":
    main()
