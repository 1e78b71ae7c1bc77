"""Symphainy beside other durable execution engines: one workload, one accounting, one run.

Standard library only at this level, because each engine's own environment imports parts of it.
"""
