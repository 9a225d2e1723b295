"""The config checks what it is given and comes back from disk as it was."""

import pytest
from transformers import AutoConfig

from hf_rnn import RnnConfig


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pooling": "lsat"}, r"`pooling` must be one of \('last', 'mean', 'max', 'attention'\), got 'lsat'"),
        ({"cell_type": "tanh"}, r"`cell_type` must be one of .* got 'tanh'"),
        ({"word_pooling": "sum"}, r"`word_pooling` must be one of .* got 'sum'"),
        ({"hidden_size": 7}, r"`hidden_size` must be even .* got 7. Use 8"),
        ({"hidden_size": "8"}, r"'hidden_size' expected int, got str"),
        ({"num_hidden_layers": 0}, r"`num_hidden_layers` must be at least 1, got 0"),
        ({"classifier_dropout": 1.0}, r"`classifier_dropout` must be in \[0, 1\), got 1.0"),
        ({"pad_token_id": 16000}, r"`pad_token_id` must be None or in \[0, vocab_size\) = \[0, 16000\), got 16000"),
        ({"crf_constraints": "bio"}, r"`crf_constraints` needs `use_crf=True`"),
        ({"use_crf": True, "crf_constraints": "iob"}, r"`crf_constraints` must be one of"),
        ({"word_pooling": "rnn", "embedding_size": 5}, r"`embedding_size` must be even .* got 5. Use 6"),
        ({"word_vocab_size": 5}, r"`word_vocab_size` must be 0, or positive with `word_pooling`, got 5 with word_pooling=None"),
        ({"promise": {"precision": 0.9}}, r"`promise` must hold a `threshold`"),
        ({"promise": {"threshold": 2}}, r"`promise` must hold a `threshold`, and .* in \[0, 1\], got .*2.*Train with --promise"),
        ({"lookahead": -1, "bidirectional": False}, r"`lookahead` must be 0, or positive with `bidirectional` false, got -1"),
        ({"lookahead": 1}, r"got 1 with bidirectional=True. .* or pass --bidirectional false"),
        ({"initializer_range": -1.0}, r"`initializer_range` must not be negative"),
    ],
)
def test_bad_fields_are_refused(fields, message):
    """The error names the field, what is allowed and what was given."""
    with pytest.raises(Exception, match=message):
        RnnConfig(**fields)


def test_round_trip(tmp_path):
    """Saved and loaded by AutoConfig, every field is the same."""
    config = RnnConfig(vocab_size=99, hidden_size=6, cell_type="gru", id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1})
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(loaded, RnnConfig)
    assert {**loaded.to_dict(), "_name_or_path": ""} == {**config.to_dict(), "_name_or_path": ""}


def test_direction_size():
    """Half of the width for each of two directions."""
    assert (RnnConfig(hidden_size=8).direction_size, RnnConfig(hidden_size=8, bidirectional=False).direction_size) == (4, 8)
