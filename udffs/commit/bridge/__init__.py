"""The ISO 9660 view of a volume, over the same file data (the bridge)."""
