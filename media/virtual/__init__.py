"""The virtual burner: a faithful MMC drive over a disc image.

See media/README.md for what it models and for what it does wrong on request.
"""

from media.virtual.burner import Burner
from media.virtual.disc import create, is_virtual_disc, memory_burner, open_burner
from media.virtual.faults import Faults
from media.virtual.kinds import KINDS, Kind

__all__ = [
    "KINDS",
    "Burner",
    "Faults",
    "Kind",
    "create",
    "is_virtual_disc",
    "memory_burner",
    "open_burner",
]
