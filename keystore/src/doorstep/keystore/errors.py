"""What goes wrong in the key store.

KeyStoreFailed
├── KeksElsewhere        the key-encryption keys are those of another key store
├── KekMissing           a key-encryption key is not there
├── NoKeks               what should hold the key-encryption keys cannot be read
├── NoSuchPlace          a key-encryption key lies, or is to be made, where this key store has no place
└── KeksAway             who wraps does not answer now
"""

from doorstep.kit.key_store import KeyStoreAway


class KeyStoreFailed(KeyStoreAway):
    """The key store cannot do what is asked of it now: whoever asks waits, and nothing is given up for it."""


class KeksElsewhere(KeyStoreFailed):
    """The key-encryption keys are those of another key store: nothing is made, wrapped or destroyed with them."""


class KekMissing(KeyStoreFailed):
    """A key-encryption key that is in use is not there."""


class NoKeks(KeyStoreFailed):
    """What should hold the key-encryption keys cannot be read."""


class NoSuchPlace(KeyStoreFailed):
    """A key-encryption key lies, or is to be made, where this key store is told of no place."""


class KeksAway(KeyStoreFailed):
    """Who wraps data keys does not answer now."""
