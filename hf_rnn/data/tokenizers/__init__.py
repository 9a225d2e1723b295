"""Tokenizers and their vectors: training, units of raw text, word vectors, vectors and vocabularies of encoders."""
