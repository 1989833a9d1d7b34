"""Errors as PostgreSQL reports them.

Every failure a user can see is a :class:`PgError`: an SQLSTATE (PostgreSQL,
Appendix A), a message in PostgreSQL's words where it has them, and where they
help a detail, a hint and the position of the offending token.
"""

from __future__ import annotations

from typing import Final


class PgError(Exception):
    """An error with PostgreSQL's fields.

    Args:
        sqlstate: five characters, e.g. ``"42703"``.
        message: primary message, lower case, no full stop.
        detail: second message with the particulars.
        hint: what the user can do.
        position: 1-based character offset into the statement text.
        severity: ``ERROR``, ``FATAL`` or ``PANIC``.
        fields: further protocol fields, keyed by their one-letter code
            (``s`` schema, ``t`` table, ``c`` column, ``n`` constraint, ``W`` where).
        row: which row of the batch that was to be written.
    """

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str | None = None,
        hint: str | None = None,
        position: int | None = None,
        severity: str = "ERROR",
        fields: dict[str, str] | None = None,
        row: int | None = None,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint
        self.position = position
        self.severity = severity
        self.fields = fields or {}
        self.row = row

    def __str__(self) -> str:
        return f"{self.message} ({self.sqlstate})"

    def at(self, position: int | None) -> PgError:
        """Give the error a position unless it has one; returns itself."""
        if self.position is None:
            self.position = position
        return self


SUCCESSFUL_COMPLETION: Final = "00000"
CONNECTION_FAILURE: Final = "08006"
PROTOCOL_VIOLATION: Final = "08P01"
FEATURE_NOT_SUPPORTED: Final = "0A000"
CARDINALITY_VIOLATION: Final = "21000"
STRING_DATA_RIGHT_TRUNCATION: Final = "22001"
NUMERIC_VALUE_OUT_OF_RANGE: Final = "22003"
INVALID_DATETIME_FORMAT: Final = "22007"
DATETIME_FIELD_OVERFLOW: Final = "22008"
DIVISION_BY_ZERO: Final = "22012"
INVALID_FUNCTION_DEFINITION: Final = "42P13"
INVALID_PARAMETER_VALUE: Final = "22023"
INVALID_TEXT_REPRESENTATION: Final = "22P02"
INVALID_BINARY_REPRESENTATION: Final = "22P03"
BAD_COPY_FILE_FORMAT: Final = "22P04"
NOT_NULL_VIOLATION: Final = "23502"
UNIQUE_VIOLATION: Final = "23505"
READ_ONLY_SQL_TRANSACTION: Final = "25006"
CHECK_VIOLATION: Final = "23514"
ACTIVE_SQL_TRANSACTION: Final = "25001"
NO_ACTIVE_SQL_TRANSACTION: Final = "25P01"
IN_FAILED_SQL_TRANSACTION: Final = "25P02"
INVALID_AUTHORIZATION: Final = "28000"
INVALID_PASSWORD: Final = "28P01"
DEPENDENT_OBJECTS: Final = "2BP01"
INVALID_CURSOR_NAME: Final = "34000"
SERIALIZATION_FAILURE: Final = "40001"
INSUFFICIENT_PRIVILEGE: Final = "42501"
SYNTAX_ERROR: Final = "42601"
DUPLICATE_COLUMN: Final = "42701"
AMBIGUOUS_COLUMN: Final = "42702"
UNDEFINED_COLUMN: Final = "42703"
UNDEFINED_OBJECT: Final = "42704"
DUPLICATE_OBJECT: Final = "42710"
AMBIGUOUS_FUNCTION: Final = "42725"
GROUPING_ERROR: Final = "42803"
DATATYPE_MISMATCH: Final = "42804"
WRONG_OBJECT_TYPE: Final = "42809"
CANNOT_COERCE: Final = "42846"
UNDEFINED_FUNCTION: Final = "42883"
UNDEFINED_TABLE: Final = "42P01"
UNDEFINED_PARAMETER: Final = "42P02"
DUPLICATE_PREPARED_STATEMENT: Final = "42P05"
DUPLICATE_SCHEMA: Final = "42P06"
DUPLICATE_TABLE: Final = "42P07"
INVALID_COLUMN_REFERENCE: Final = "42P10"
INDETERMINATE_DATATYPE: Final = "42P18"
UNDEFINED_SCHEMA: Final = "3F000"
INVALID_CATALOG_NAME: Final = "3D000"
DISK_FULL: Final = "53100"
OUT_OF_MEMORY: Final = "53200"
TOO_MANY_CONNECTIONS: Final = "53300"
CONFIGURATION_LIMIT_EXCEEDED: Final = "53400"
OBJECT_NOT_IN_PREREQUISITE_STATE: Final = "55000"
OBJECT_IN_USE: Final = "55006"
UNDEFINED_FILE: Final = "58P01"
DUPLICATE_FILE: Final = "58P02"
QUERY_CANCELED: Final = "57014"
ADMIN_SHUTDOWN: Final = "57P01"
CANNOT_CONNECT_NOW: Final = "57P03"
IO_ERROR: Final = "58030"
INTERNAL_ERROR: Final = "XX000"
DATA_CORRUPTED: Final = "XX001"


def not_supported(what: str, *, hint: str | None = None, position: int | None = None) -> PgError:
    """A 0A000 for a statement that is understood but cannot be honoured."""
    return PgError(FEATURE_NOT_SUPPORTED, what, hint=hint, position=position)
