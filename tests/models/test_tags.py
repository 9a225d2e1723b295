"""Tag schemes: which tag may follow which, by the definition of BIO and BIOES."""

import itertools

import pytest

from hf_rnn.models.tags import SCHEMES, check_scheme, first_violation, forbidden_moves, guess_scheme

BIOES = ["O", "B-X", "I-X", "E-X", "S-X", "B-Y", "I-Y", "E-Y", "S-Y"]


def spell(tags, scheme):
    """Return whether tags are exactly what the spans they describe would be written as: the definition, without rules of succession."""
    index = 0
    while index < len(tags):
        prefix, _, kind = tags[index].partition("-")
        if prefix in ("O", "S"):
            index += 1
            continue
        if prefix != "B":
            return False
        end = index + 1
        while end < len(tags) and tags[end] == f"I-{kind}":
            end += 1
        if scheme == "bioes":
            if end == len(tags) or tags[end] != f"E-{kind}":
                return False
            end += 1
        index = end
    return True


@pytest.mark.parametrize(("scheme", "labels"), [("bio", ["O", "B-X", "I-X", "B-Y", "I-Y"]), ("bioes", BIOES)])
def test_all_short_sequences(scheme, labels):
    """For all sequences of up to four tags, the rules and the masks of a CRF allow those that spell spans and no others."""
    start, end, moves = forbidden_moves(labels, scheme)
    for length in range(1, 5 if scheme == "bio" else 4):
        for ids in itertools.product(range(len(labels)), repeat=length):
            tags = [labels[index] for index in ids]
            allowed = spell(tags, scheme)
            assert (first_violation(tags, scheme) is None) == allowed, tags
            masked = start[ids[0]] or end[ids[-1]] or any(moves[a][b] for a, b in itertools.pairwise(ids))
            assert (not masked) == allowed, tags


def test_first_violation_is_located():
    """The index is that of the tag at fault."""
    assert first_violation(["O", "B-X", "I-Y"], "bio") == 2
    assert first_violation(["I-X"], "bio") == 0
    assert first_violation(["O", "B-X"], "bioes") == 1
    assert first_violation([], "bio") is None


@pytest.mark.parametrize("label", ["X", "B", "B-", "I_X", "O-X", "", "S-X"])
def test_labels_of_no_scheme_are_refused(label):
    """The error names the label; "S" is of BIOES alone."""
    with pytest.raises(ValueError, match=r"is not of the BIO scheme"):
        check_scheme(["O", label], "bio")


def test_scheme_is_guessed_from_labels():
    """Parts of speech have no scheme, spans have."""
    assert guess_scheme(["O", "B-PER", "I-PER"]) == "bio"
    assert guess_scheme(BIOES) == "bioes"
    assert guess_scheme(["NOUN", "VERB"]) is None
    assert guess_scheme(["O"]) is None
    with pytest.raises(ValueError, match=f"must be one of {tuple(SCHEMES)}".replace("(", r"\(").replace(")", r"\)")):
        check_scheme(["O"], "iob1")
