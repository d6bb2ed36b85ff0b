"""Writing on discs that can be rewritten: CD-RW in fixed packets, Mt. Rainier."""
