"""The serving store: current rows of tables, sources and views, as of one epoch."""

from laminar.engine.serving.checkpoint import Checkpointer, Pending
from laminar.engine.serving.chunk import Snapshot
from laminar.engine.serving.layout import Layout
from laminar.engine.serving.overlay import Writes, overlay
from laminar.engine.serving.relation import RelationStore
from laminar.engine.serving.segments import Segment
from laminar.engine.serving.store import EpochView, Retention, ServingStore

__all__ = [
    "Checkpointer",
    "EpochView",
    "Layout",
    "Pending",
    "RelationStore",
    "Retention",
    "Segment",
    "ServingStore",
    "Snapshot",
    "Writes",
    "overlay",
]
