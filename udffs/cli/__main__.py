"""``python -m udffs.cli`` is ``udffs``."""

from udffs.cli import main

main()
