"""The first session that ``tools/demo`` shows, through the command line alone."""
