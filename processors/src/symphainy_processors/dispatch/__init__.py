"""Fair dispatch: which ready step goes next. Pure: it knows names and counts, and no state.

The backlog lies in the partition's state; here is a bounded head of each of its lines, so nothing
that is forgotten here is lost.
"""
