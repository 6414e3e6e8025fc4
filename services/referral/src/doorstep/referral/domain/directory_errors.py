"""Refusals about bringing a directory into force: a branch of the tree in `errors`.

DirectoryRefused
└── DirectoryUntried          nobody tried it on open requests
"""

from doorstep.referral.errors import DirectoryRefused


class DirectoryUntried(DirectoryRefused):
    """Another directory is in force, and nobody tried on open requests what this one would change."""
