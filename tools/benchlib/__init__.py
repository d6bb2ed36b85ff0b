"""Measures udffs against what a FUSE file system in Python can do at best,
and against other programs that put files on UDF or ISO 9660 discs.

Every contestant does the same work on the same machine in the same run, in
turn; discs, spools and trees stand on tmpfs. See ``tools/bench --help``.
"""
