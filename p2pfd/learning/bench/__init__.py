"""Measurements of learning: cells that are measured once and kept, and tables made of them."""

from p2pfd.learning.bench.cache import Cache
from p2pfd.learning.bench.cell import Cell, Point, Result
from p2pfd.learning.bench.measure import measure
from p2pfd.learning.bench.tables import TABLES, Table, only, table_of

__all__ = ["TABLES", "Cache", "Cell", "Point", "Result", "Table", "measure", "only", "table_of"]
