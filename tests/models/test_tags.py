"""Spans that tags describe."""

from itertools import product

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from hf_rnn.models.tags import spans_of_tags
from hf_rnn.tasks.grouping import group_spans


@pytest.mark.parametrize("labels", [("O", "B-X", "I-X", "B-Y", "I-Y"), ("O", "B-X", "I-X", "E-X", "S-X", "I-Y")])
def test_spans_are_those_that_scores_count(labels):
    """For every sequence of up to four tags, those that break the scheme too, the spans are those of seqeval, in answers as in scores."""
    for length in range(5):
        for tags in product(labels, repeat=length):
            expected = [(first, last + 1, kind) for kind, first, last in get_entities(list(tags))]
            assert spans_of_tags(tags) == expected
            offsets = [(index, index + 1) for index in range(length)]
            grouped = group_spans("x" * length, offsets, tags, [1.0] * length, labels)
            assert [(span["start"], span["end"], span["entity_group"]) for span in grouped] == expected
