"""Gates and states that are shown are those of the model."""

import pytest
import torch

from hf_rnn import RnnConfig, RnnForSequenceClassification, RnnForTokenClassification, load, train_tokenizer
from hf_rnn.commands import cli
from hf_rnn.inference.predictor import Predictor

TEXT = "We flew to Seoul ."
TOKENIZER = train_tokenizer([TEXT, "정말 재미있어요"] * 20, "bpe", 60)


@pytest.mark.parametrize("head", [RnnForSequenceClassification, RnnForTokenClassification])
@pytest.mark.parametrize("word_pooling", [None, "mean"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("cell_type", ["lstm", "gru", "rnn"])
def test_hidden_is_what_the_layer_gives(cell_type, bidirectional, word_pooling, head):
    """For every layer and direction, and the gates make it: by the equations, from the step before in the order of reading."""
    sizes = {"vocab_size": len(TOKENIZER), "embedding_size": 6, "hidden_size": 8, "num_hidden_layers": 2}
    model = head(RnnConfig(**sizes, cell_type=cell_type, bidirectional=bidirectional, word_pooling=word_pooling)).eval()
    if word_pooling:
        model.set_piece_types(TOKENIZER)
    predictor = Predictor(model, TOKENIZER)
    ids = TOKENIZER(TEXT.split(), is_split_into_words=True, return_tensors="pt")["input_ids"]
    starts = model.base_model.units(ids, torch.ones_like(ids, dtype=torch.bool))[0]
    for layer in (0, 1):
        trace = predictor.gates(TEXT, layer)
        assert len(trace["units"]) == int(starts.sum())
        hidden = torch.cat([direction["hidden"] for direction in trace["directions"]], dim=1)
        with torch.inference_mode():
            expected = model.base_model(ids, output_hidden_states=True).hidden_states[layer + 1][0][starts]
        torch.testing.assert_close(hidden, expected, atol=1e-6, rtol=0)
        for values, step in zip(trace["directions"], (1, -1), strict=False):
            before = {name: torch.zeros_like(value).index_copy(0, *_moved(value, step)) for name, value in values.items()}
            if cell_type == "lstm":
                cell = values["forget gate"] * before["cell"] + values["input gate"] * values["candidate"]
                torch.testing.assert_close(values["cell"], cell)
                torch.testing.assert_close(values["hidden"], values["output gate"] * cell.tanh())
            elif cell_type == "gru":
                update = values["update gate"]
                torch.testing.assert_close(values["hidden"], (1 - update) * values["candidate"] + update * before["hidden"])
    if word_pooling:
        assert [TEXT[start:end] for start, end in trace["units"]][:5] == TEXT.split()


def _moved(values, step):
    """Return where the values of a step go when each moves to the next one, and the values."""
    places = torch.arange(len(values))
    return (places[1:], values[:-1]) if step == 1 else (places[:-1], values[1:])


def test_empty_text_and_wrong_layer():
    """A text without a word has the steps of its special tokens; a layer that is not there is said."""
    predictor = Predictor(RnnForSequenceClassification(RnnConfig(vocab_size=len(TOKENIZER), embedding_size=4, hidden_size=4)), TOKENIZER)
    assert len(predictor.gates("")["units"]) == len(TOKENIZER("")["input_ids"])
    with pytest.raises(ValueError, match="`layer` must be from -2 to 1, got 2. Pass --layer."):
        predictor.gates(TEXT, 2)


def test_command_draws_them(classifier, tmp_path, capsys):
    """`hf-rnn explain --gates_file`, of one text."""
    path = tmp_path / "gates.png"
    arguments = ["explain", "--model_name_or_path", str(classifier[0]), "--gates_file", str(path), "--texts", "정말 $재미$ 있어요"]
    assert cli.main(arguments) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    few = path.stat().st_size
    assert cli.main([*arguments, "--units", "0", "--gates_language", "ko"]) == 0
    assert path.stat().st_size != few
    assert load(str(classifier[0])).gates("")["directions"]
    assert cli.main([*arguments, "또"]) == 1
    assert "`gates_file` shows one text, got 2" in capsys.readouterr().err
