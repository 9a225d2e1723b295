"""The Hub, model cards, conversion to half precision, and import of PyTorch weights."""
