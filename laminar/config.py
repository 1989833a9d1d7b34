"""Settings of the server: flags over environment (LAMINAR_…) over laminar.toml over defaults."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from laminar.engine.config import default_memory, default_reactors
from laminar.errors import INVALID_PARAMETER_VALUE, PgError


class Settings(BaseSettings):
    """What ``laminar server`` can be told. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="LAMINAR_", extra="forbid")
    toml: ClassVar[Path | None] = None

    data_dir: Path = Path("laminar-data")
    #: host:port to accept clients on
    listen: str = "127.0.0.1:5433"
    #: folder of a Unix socket (.s.PGSQL.port) for clients of this machine that run as the same user
    unix_socket_dir: Path | None = None
    #: PEM files; with them clients may ask for encryption
    tls_cert_file: Path | None = None
    tls_key_file: Path | None = None
    reactors: int = Field(default_factory=default_reactors, ge=1, le=256)
    #: how clients prove who they are; "trust" is for loopback only
    auth: Literal["trust", "scram-sha-256"] = "trust"
    #: file with the password of the superuser "laminar", read at start when auth is scram-sha-256
    superuser_password_file: Path | None = None
    max_connections: int = Field(default=1000, ge=1)
    checkpoint_interval: float = Field(default=10.0, gt=0)
    #: files of one reactor's state, one per checkpoint, beyond which they are merged
    max_state_files: int = Field(default=64, ge=1)
    #: longest time between two epochs while there is data
    epoch_interval: float = Field(default=0.1, gt=0)
    #: memory of all processes together; views' state beyond it lives in files
    memory_limit: int = Field(default_factory=default_memory, ge=256 << 20)
    #: memory that one ad-hoc query may use before it spills
    work_mem: int = Field(default=512 << 20, ge=1 << 20)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "text"] = "auto"

    @field_validator("listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError('is not of the form "host:port"')
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host (without brackets) and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can connect."""
        host = self.address[0]
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file."""
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if cls.toml is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, cls.toml))
        return tuple(sources)


def load(config: Path | None, flags: dict[str, Any]) -> Settings:
    """Settings from a file and from flags that were given.

    Raises:
        PgError: 22023 with every setting that is wrong, or when the file cannot be read.
    """
    if config is not None and not config.is_file():
        raise PgError(INVALID_PARAMETER_VALUE, f'configuration file "{config}" does not exist')

    class _Settings(Settings):
        toml: ClassVar[Path | None] = config

    try:
        return _Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        known = ", ".join(sorted(Settings.model_fields))
        raise PgError(
            INVALID_PARAMETER_VALUE, f"invalid configuration: {wrong}", hint=f"Known settings: {known}."
        ) from None
    except ValueError as error:
        raise PgError(INVALID_PARAMETER_VALUE, f'configuration file "{config}": {error}') from None
