"""System relations: what the database says about itself, computed when it is read."""

from laminar.catalog.system.registry import SystemRelation, SystemRelations

__all__ = ["SystemRelation", "SystemRelations"]
