"""What can go wrong inside the cache.

CacheError
├── StoreError
│   ├── StoreUnavailable    the store cannot be reached, or not in time
│   ├── StoreBusy           all connections to it are in use
│   └── StoreRefused        it answered, but would not do it (full, read-only)
├── Unkeyable               a key's inputs are not plain JSON
├── Undecodable             a stored value is not one of our entries
├── NotStored               only a stored result was asked for, and there is none
├── Overloaded              as many requests as may wait are waiting already
├── NotFilled               who was to fill did not, for longer than a request may wait
└── SourceUnavailable       the database cannot be read: what was decided lately is not known
"""


class CacheError(Exception):
    """The cache could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class StoreError(CacheError):
    """The store failed."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, or does not answer in time."""


class StoreBusy(StoreError):
    """All connections to the store are in use."""


class StoreRefused(StoreError):
    """The store answered, but would not do it."""


class Unkeyable(CacheError):
    """The inputs are not plain JSON values."""


class Undecodable(CacheError):
    """The stored value is not an entry of this schema."""


class NotStored(CacheError):
    """Only a stored result was asked for, and there is none."""


class Overloaded(CacheError):
    """As many requests as may wait are waiting already."""


class NotFilled(CacheError):
    """Whoever was to fill did not, for longer than a request may wait."""


class SourceUnavailable(CacheError):
    """The database cannot be read, so what was decided lately is not known."""
