"""What is raised when data cannot be used."""


class DataError(ValueError):
    """Data that cannot be used as it is."""
