"""Drives and discs by the name that the user gives them, reached as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from udffs import settings

if TYPE_CHECKING:
    from media.drive import Drive
    from media.store import BlockStore


def open_drive(name: str, *, writable: bool = True, speed: int | None = None) -> Drive:
    """As :func:`media.discovery.open_drive`, through the transport that is set for it."""
    from media import discovery

    transport = settings.load().for_drive(name).transport
    return discovery.open_drive(name, writable=writable, speed=speed, transport=transport)


def open_block_store(name: str, *, writable: bool = True, speed: int | None = None) -> BlockStore:
    """As :func:`media.discovery.open_block_store`, through the transport that is set for it."""
    from media import discovery

    transport = settings.load().for_drive(name).transport
    return discovery.open_block_store(name, writable=writable, speed=speed, transport=transport)
