"""Every command, reply, mode page, feature and sense layout that we use.

Pure declarations in construct with the standards' own names; imports nothing
of ours but itself.
"""
