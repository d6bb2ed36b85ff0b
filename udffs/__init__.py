"""udffs: a CD-R is a drive; packets and standard UDF underneath."""
