"""Removes subqueries: after :func:`unnest` a plan has no Apply, Outer or Subquery.

``lifting`` takes subqueries out of expressions, ``dependent`` makes joins of what depends on its left side,
``pushing`` moves the outer columns' values down the right side where that takes more than a join condition.
"""

from laminar.sql.unnest.lifting import unnest

__all__ = ["unnest"]
