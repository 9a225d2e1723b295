"""Where words start among the pieces of a vocabulary."""

from transformers import PreTrainedTokenizerBase

SPECIAL, WORD_START, CONTINUATION, SPACE = 0, 1, 2, 3
# that of Metaspace and SentencePiece, and that of byte-level BPE
WORD_MARK, BYTE_MARK = "▁", "Ġ"


def piece_types(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Say of each id of a fast tokenizer whether its piece starts a word: `SPECIAL`, `WORD_START`, `CONTINUATION` or `SPACE`.

    Read from the marks that the vocabulary itself carries: "##" of WordPiece before a continuation, "▁" of Metaspace or "Ġ" of
    byte-level BPE before a start. Vocabularies without marks hold whole words. A space beside continuations is white space of raw
    text. For `RnnPreTrainedModel.set_piece_types`.

    Raises:
        ValueError: The tokenizer is not a fast one.
    """
    if not tokenizer.is_fast:
        raise ValueError(f"Word starts are read from a fast tokenizer, got {type(tokenizer).__name__}. Load it with AutoTokenizer.")
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    marks = () if prefix else (WORD_MARK, BYTE_MARK)
    mark = next((mark for mark in marks if any((token or "").startswith(mark) for token in tokens)), None)
    types = []
    for index, token in enumerate(tokens):
        if index in special:
            types.append(SPECIAL)
        elif prefix and token == " ":
            types.append(SPACE)
        elif mark is not None:
            types.append(WORD_START if token.startswith(mark) else CONTINUATION)
        else:
            types.append(CONTINUATION if prefix and token.startswith(prefix) else WORD_START)
    return types
