"""The version, apart so that builds read it without importing torch."""

__version__ = "0.1.0"
