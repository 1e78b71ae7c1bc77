"""Readers and writers of Avro."""
from symphainy_schemas.avro_code.binary import Malformed, Read, Write
from symphainy_schemas.avro_code.reading import reader
from symphainy_schemas.avro_code.shapes import shape_of
from symphainy_schemas.avro_code.writing import writer
