"""Every byte layout of UDF, pure: no I/O, no state.

`ecma167` and `osta` declare the structures, `tags` is the one gate through
which a descriptor enters and leaves, `text`, `times` and `modes` translate
names, dates and permissions, `hot` holds the fast codecs for what is read and
written many thousand times.
"""
