"""SQL/JSON paths: text to a tree (:mod:`.parser`), a tree over a document (:mod:`.evaluation`)."""

from laminar.sql.jsonpath.evaluation import exists, match, query
from laminar.sql.jsonpath.parser import parse

__all__ = ["exists", "match", "parse", "query"]
