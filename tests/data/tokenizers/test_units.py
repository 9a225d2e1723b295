"""Units of raw text: cut where annotations cut, known by the same expression to the tokenizer, literal in their pieces."""

import itertools
import time
import unicodedata

import pytest
import regex
import torch
from tokenizers import Regex, pre_tokenizers

from hf_rnn.data.rows.spans import find_units
from hf_rnn.data.tokenizers.units import STAND_INS, Cuts, find_cuts, train_unit_tokenizer
from hf_rnn.models.features import describe_words, piece_characters
from hf_rnn.models.pieces import SPACE, WORD_START, piece_types

ODD = (
    "  Don't\r\nnaïve cafe\u0301 3.5kg 2nd 👩\u200d👩\u200d👧 中国人 カタカナー漢 홍길동이 LG전자 "
    "\u1112\u1169\u11bcx ไทย x\u200by\u2028z [SEP] ##a #\t\u3000。\u00a0x\x1fy"
)
PLAIN = Cuts()


def units_of(text, cuts=PLAIN):
    """Return the units of a text, white space left out."""
    return [unit for unit in regex.findall(cuts.pattern(), text) if not unit.isspace()]


def annotate(text, *parts):
    """Return a text with a span at each of some parts of it, found in order."""
    spans, place = [], 0
    for part in parts:
        start = text.index(part, place)
        place = start + len(part)
        spans.append((start, place))
    return text, spans


def test_units_without_cuts():
    """Runs of letters of one script and of digits, and single characters with their marks."""
    assert units_of("Don't naïve cafe\u0301 3.5kg") == ["Don", "'", "t", "naïve", "cafe\u0301", "3", ".", "5", "kg"]
    assert units_of("カタカナー漢字ひら LG전자 👩\u200d👩\u200d👧!") == [
        "カタカナー",
        "漢字",
        "ひら",
        "LG",
        "전자",
        "👩\u200d👩\u200d👧",
        "!",
    ]


@pytest.mark.parametrize(
    "cuts",
    [Cuts(), Cuts(scripts=("Hangul", "Han", "digits", "Thai")), Cuts(endings=("n't", "nt"), beginnings=("l'",), words=(("gon", "na"),))],
)
def test_tokenizer_and_regex_agree(cuts):
    """The tokenizer's own splits are those of the expression in Python, on odd text too, and leave no character out."""
    split = pre_tokenizers.Split(Regex(cuts.pattern()), "isolated")
    for text in (ODD, ODD.upper(), "Dont don't can't gonna l'eau"):
        found = [match.span() for match in regex.finditer(cuts.pattern(), text)]
        assert [span for _, span in split.pre_tokenize_str(text)] == found
        assert "".join(text[start:end] for start, end in found) == text


def test_an_ending_is_cut_in_words_that_were_not_seen():
    """Where several words are cut before "n't", others are too, in any case; a word that merely ends so is not."""
    rows = [annotate("I do n't".replace(" n", "n"), "I", "do", "n't"), annotate("we hadn't", "we", "had", "n't")]
    cuts = find_cuts(rows)
    assert cuts.endings == ("n't",) and not cuts.words
    assert units_of("COULDN'T won't ant", cuts) == ["COULD", "N", "'", "T", "wo", "n", "'", "t", "ant"]


def test_an_ending_that_most_words_keep_is_not_cut():
    """An "s" may end a span in "its", but plurals stay whole; a word that is cut often is cut by itself."""
    rows = [annotate("its fine", "it", "s", "fine")] * 3 + [annotate("whats up", "what", "s", "up")] * 2
    rows += [annotate("cats dogs birds cows pigs", "cats", "dogs", "birds", "cows", "pigs")] * 4
    cuts = find_cuts(rows)
    assert cuts == Cuts(words=(("it", "s"), ("what", "s")))
    assert units_of("Its whats cats", cuts) == ["It", "s", "what", "s", "cats"]


def test_a_script_that_is_cut_anywhere_falls_into_characters():
    """Names with particles make every Hangul syllable a unit; Latin letters beside them stay in runs."""
    names = ["민수", "영희", "철수", "지훈", "서연"]
    rows = [annotate(f"{name}{particle} Seoul 갔다", name, "Seoul") for name, particle in zip(names, "가는도를와", strict=True)]
    cuts = find_cuts(rows)
    assert cuts.scripts == ("Hangul",)
    assert units_of("길동이 Seoul", cuts) == ["길", "동", "이", "Seoul"]


def test_a_slip_changes_nothing():
    """A single span that ends inside a word neither makes characters of its script nor cuts the word."""
    rows = [annotate("Berlin liegt hier", "Berlin")] * 20 + [annotate("Hamburger Hafen", "Hamburg")]
    assert find_cuts(rows) == PLAIN


def test_pieces_are_the_text_itself():
    """Pieces without their mark spell the text but for unknown units; offsets point at them; decoding gives the text back."""
    odd = "".join(" " if letter.isspace() else letter for letter in ODD.replace("[SEP]", ""))
    texts = [odd, "Don't do it twice, Don't"] * 2
    tokenizer = train_unit_tokenizer(texts, Cuts(scripts=("Hangul",)), vocab_size=150)
    types = piece_types(tokenizer)
    for text in texts[:2]:
        encoding = tokenizer(text, return_offsets_mapping=True)
        for piece, (start, end) in zip(encoding.tokens()[:-1], encoding["offset_mapping"], strict=False):
            assert piece.removeprefix("##") == text[start:end]
        assert tokenizer.convert_tokens_to_string(encoding.tokens()[:-1]) == text
        firsts, units = find_units(encoding["input_ids"], encoding["offset_mapping"], types)
        assert [text[start:end] for start, end in units] == units_of(text, Cuts(scripts=("Hangul",)))
        assert len(firsts) == len(units) and sum(types[piece] == SPACE for piece in encoding["input_ids"]) == sum(map(str.isspace, text))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_no_mark_is_parted_from_its_letter(form):
    """In composed and in decomposed text alike units hold all of what they spell: none ends before a mark, a jamo or a joiner."""
    text = unicodedata.normalize(form, "Köln’s naïve\r\nÅngström, 홍길동이 간다 👩\u200d👩\u200d👧👍🏽 が")
    tokenizer = train_unit_tokenizer(["Köln's naïve Ångström 홍길동이 간다"] * 2, Cuts(scripts=("Hangul",)), vocab_size=150)
    encoding = tokenizer(text, return_offsets_mapping=True)
    spelled = [text[start:end] for start, end in find_units(encoding["input_ids"], encoding["offset_mapping"], piece_types(tokenizer))[1]]
    words = ["Köln", "’", "s", "naïve", "Ångström", ",", *"홍길동이간다", "👩\u200d👩\u200d👧", "👍🏽", "が"]
    assert [unicodedata.normalize("NFC", unit) for unit in spelled] == words
    assert "".join(spelled) == "".join(text.split())


def test_features_of_words_know_no_white_space():
    """What stands behind a unit is no letter of it for the linear tagger beside the recurrence."""
    tokenizer = train_unit_tokenizer(["ab ab"], PLAIN)
    characters = torch.tensor(piece_characters(tokenizer))
    ids = torch.tensor([tokenizer("ab ab", add_special_tokens=False)["input_ids"]])
    starts = torch.tensor([[piece_types(tokenizer)[piece] == WORD_START for piece in ids[0]]])
    keys = describe_words(characters, ids, (starts.cumsum(1) - 1), torch.ones_like(starts))
    # the word, its shape, whether it has a digit, prefixes and suffixes
    assert torch.equal(keys[0, 0, :12], keys[0, 1, :12])


def test_unknown_units_stay_whole():
    """A unit with a character that was seen less than twice is one unknown piece, with the offsets of all of it."""
    tokenizer = train_unit_tokenizer(["abc abc abz"], Cuts())
    encoding = tokenizer("ab abz zab", return_offsets_mapping=True)
    unknown = [
        span for piece, span in zip(encoding["input_ids"], encoding["offset_mapping"], strict=True) if piece == tokenizer.unk_token_id
    ]
    assert unknown == [(3, 6), (7, 10)]


@pytest.mark.parametrize("lowercase", [False, True])
def test_rare_characters_say_their_script(lowercase):
    """Where characters are units, one that was seen once or never is that of its script, where it stands; others stay unknown."""
    tokenizer = train_unit_tokenizer(["東京 東京 서울 서울 か か ab ab"], Cuts(scripts=("Han", "Hangul", "Hiragana")), lowercase=lowercase)
    encoding = tokenizer("東 海, 산서 くか z", return_offsets_mapping=True, add_special_tokens=False)
    pieces = zip(encoding.tokens(), encoding["offset_mapping"], strict=True)
    found = {start: (piece, end) for piece, (start, end) in pieces if piece != " "}
    assert found[0] == ("東", 1) and found[2] == (STAND_INS["Han"], 3)
    assert found[5] == (STAND_INS["Hangul"], 6) and found[6] == ("서", 7)
    assert found[8] == (STAND_INS["Hiragana"], 9) and found[9] == ("か", 10)
    assert found[3] == (tokenizer.unk_token, 4) and found[11] == (tokenizer.unk_token, 12)


def test_the_same_texts_give_the_same_tokenizer():
    """Also where counts tie."""
    words = ["".join(word) for word in itertools.permutations("abcdefg", 4)]
    texts = [ODD, *(" ".join(words[start::7]) for start in range(7))] * 2
    first, *others = (train_unit_tokenizer(texts, Cuts(), 150).backend_tokenizer.to_str() for _ in range(4))
    assert all(first == other for other in others)


def test_letters_of_private_planes_are_letters_like_others():
    """Those by which pieces are learnt may be in the texts too."""
    texts = ["\U000f0000b b\U000f0001\U000f0001 ab"] * 3
    tokenizer = train_unit_tokenizer(texts, Cuts(), 40)
    found = tokenizer(texts[0], return_offsets_mapping=True)
    assert max(end for _, end in found["offset_mapping"]) == len(texts[0])
    assert tokenizer.unk_token_id not in found["input_ids"]


def test_a_long_word_takes_no_square_of_its_length():
    """Endings are looked for up to the length of the longest; a run of a million letters is learnt from in parts."""
    rows = [(f"{word}n't", [(0, len(word)), (len(word), len(word) + 3)]) for word in ("do", "is", "was", "did")] * 3
    start = time.process_time()
    cuts = find_cuts([*rows, ("ab" * 500_000, [(0, 1_000_000)])])
    assert cuts.endings == ("n't",)
    train_unit_tokenizer(["ab" * 100_000, *(text for text, _ in rows)], cuts, 100)
    assert time.process_time() - start < 20
