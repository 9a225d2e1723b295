"""Turn the weights of a PyTorch classifier or tagger (embedding, `nn.LSTM`, `nn.GRU` or `nn.RNN`, linear) into a checkpoint.

Example:
    hf-rnn import --weights_file model.pt --embedding emb --rnn lstm --linear fc --labels neg pos --output_dir outputs/mine
"""

from dataclasses import dataclass

from ..arguments import LabelledTrainingArguments, ModelArguments, RunArguments
from ..data.loading import load_tokenizer
from ..data.locking import locked
from ..data.writing import check_output_dir
from ..options import option, pick, read_arguments
from ..sharing.importing import import_state, read_weights


@dataclass
class ImportArguments:
    """Whose weights to take, what they are called, and what they stand for."""

    weights_file: str = option("State dict: .safetensors, or .pt of tensors alone.", "", essential=True)
    # option() returns a field
    labels: list[str] | None = option("Names of the outputs of the linear layer, in order.", essential=True)  # noqa: RUF009
    embedding: str = option("Name of the nn.Embedding in the state dict.", "embedding", essential=True)
    rnn: str = option("Name of the nn.LSTM, nn.GRU or nn.RNN (of tanh).", "rnn", essential=True)
    linear: str = option("Name of the nn.Linear.", "linear", essential=True)
    pad_token_id: int | None = option("Id of padding; that of the tokenizer if there is one.", within="[0, inf)")


KINDS = (
    ImportArguments,
    pick(RunArguments, "task"),
    pick(ModelArguments, "tokenizer_name", pooling="last"),
    pick(LabelledTrainingArguments, output_dir="imported"),
)


def main(argv: list[str] | None = None) -> None:
    """Run the command."""
    arguments = read_arguments(argv, __doc__, *KINDS)
    check_output_dir(arguments.output_dir, "output_dir", arguments.tokenizer_name)
    tokenizer = load_tokenizer(arguments.tokenizer_name) if arguments.tokenizer_name else None
    pad = arguments.pad_token_id if arguments.pad_token_id is not None or tokenizer is None else tokenizer.pad_token_id
    names = {name: getattr(arguments, name) for name in ("task", "labels", "embedding", "rnn", "linear", "pooling")}
    model = import_state(read_weights(arguments.weights_file), **names, pad_token_id=pad)
    if tokenizer is not None:
        if len(tokenizer) != model.config.vocab_size:
            raise ValueError(
                f"`tokenizer_name` {arguments.tokenizer_name!r} has {len(tokenizer)} entries, the embedding "
                f"{model.config.vocab_size} rows. "
                "Pass the tokenizer that the model was trained with."
            )
        model.set_piece_types(tokenizer)
    with locked(arguments.output_dir):
        if tokenizer is not None:
            tokenizer.save_pretrained(arguments.output_dir)
        model.save_pretrained(arguments.output_dir)
    print(f"Saved a {model.config.cell_type} for {arguments.task} with {model.num_parameters():,} parameters to {arguments.output_dir}.")
