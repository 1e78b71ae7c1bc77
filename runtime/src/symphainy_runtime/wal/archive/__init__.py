"""The archive: the journal's rows in Parquet files, each offset once, in a folder or object store.

docs/wal.md states the layout. A file counts only once it is committed: so a crash, or another
archiver, leaves nothing that could be taken for whole.
"""
