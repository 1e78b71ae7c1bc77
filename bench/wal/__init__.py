"""The log archived and asked. Apart from its `__main__`, which processes that export do not import
again."""
