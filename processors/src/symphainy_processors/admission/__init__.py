"""Admission: whether an intent may run, decided once, at acceptance. Pure."""
