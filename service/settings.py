"""What a service is told: by arguments, environment variables and a file, and where each value came from."""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from service.access import DatabaseError, Rate
from service.access.database_address import check_address, shown

PREFIX = "VANTAGE_"
CONFIG_FILE = Path("vantage.toml")
CONFIG_VARIABLE = "VANTAGE_CONFIG"
_OTHER_VARIABLES = {CONFIG_VARIABLE, "VANTAGE_KEY", "VANTAGE_CACHE"}  # of vantage index --server, and vantage-train
# Kubernetes, and links of containers, tell every process where a service of that name is: one that is called vantage
# gives VANTAGE_PORT=tcp://10.0.0.11:8000 and a dozen more, which nobody meant for us.
_LINK = re.compile(
    r"VANTAGE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?|NAME)"
)
_MIB = 2**20


class SettingsError(ValueError):
    """A setting that does not exist, or cannot have that value."""


class ServiceSettings(BaseSettings):
    """`ServiceSettings(port=80)` is made of what it is given alone; `ServiceSettings.load` reads the surroundings."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    data: Path = Field(Path("vantage-data"), description="The data directory: galleries, keys and audit log.")
    model: str | None = Field(
        None,
        min_length=1,
        description="The model: a folder, or the name of one that comes with vantage; none: the default one of those.",
    )
    gallery: Literal["embedded", "milvus"] = Field(
        "embedded", description="What holds the galleries: this process and its data directory, or a Milvus server."
    )
    milvus_uri: str | None = Field(
        None, min_length=1, description="The Milvus server, such as http://milvus:19530; wanted where it holds them."
    )
    milvus_token: SecretStr | None = Field(None, description="USER:PASSWORD there, or an API key; none: nobody asks.")
    database: SecretStr | None = Field(
        None,
        description="Where replicas share keys, audit log and jobs: sqlite:///FILE or postgresql://...; none: each has "
        "files of its own.",
    )
    crops: Path | None = Field(
        None,
        description="With Milvus: where pictures are kept, the same for all; none: in the data directory.",
    )
    snapshots: Path | None = Field(
        None, description="With Milvus: where snapshots are kept, the same for all; none: in the data directory."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where the model runs. cuda never falls back; auto may, and says so."
    )
    threads: int | None = Field(None, ge=1, le=1024, description="Threads of the model on a CPU; none: as it likes.")

    host: str = Field(
        "127.0.0.1", min_length=1, description="The address to listen at; beyond loopback, keys are wanted."
    )
    trust_network: bool = Field(
        False,
        description="Whether, without keys, whoever reaches the port is let in: for a container of which only this "
        "machine reaches the port.",
    )
    port: int = Field(8000, ge=0, le=65535, description="The port to listen at; 0 takes any that is free.")
    proxies: str | None = Field(
        None,
        description="Addresses and networks, with commas, of proxies in front: their X-Forwarded-For is believed.",
    )
    shutdown_seconds: float = Field(
        20.0, ge=0, le=3600, description="How long requests under way may take when the service is stopped."
    )
    demo: bool = Field(False, description="Whether an empty data directory gets a gallery of rendered people.")

    max_batch: int = Field(32, ge=1, le=1024, description="Crops that the model takes at once, at most.")
    max_waiting: int = Field(
        256, ge=1, le=65536, description="Crops that may wait for the model; more are refused, 429."
    )
    max_wait_ms: float = Field(
        5.0, ge=0, le=1000, description="How long a crop may wait for others, where waiting pays at all."
    )
    default_deadline_ms: int = Field(
        10_000, ge=1, le=3_600_000, description="When a request is given up that does not say it itself."
    )
    max_deadline_ms: int = Field(
        60_000, ge=1, le=3_600_000, description="The latest deadline that a request may ask for."
    )
    decoders: int = Field(2, ge=1, le=256, description="Threads that decode pictures.")

    max_image_bytes: int = Field(8 * _MIB, ge=1024, le=1024 * _MIB, description="A picture's file, at most.")
    max_image_pixels: int = Field(
        2**24, ge=1024, le=2**28, description="A picture's width x height, at most; read from its header, not decoded."
    )
    max_body_bytes: int = Field(32 * _MIB, ge=1024, le=4096 * _MIB, description="A request's body, at most.")
    max_bulk_bytes: int = Field(
        256 * _MIB, ge=1024, le=65536 * _MIB, description="The body of a bulk request (NDJSON), at most."
    )
    body_seconds: float = Field(
        30.0, gt=0, le=3600, description="How long a body may take to come, or each piece of a bulk request's."
    )
    max_top_k: int = Field(1000, ge=1, le=1000, description="Results that a search may ask for, at most.")

    searches_per_second: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Searches of a key without a rate of its own, or of an address where there are no keys; none: any.",
    )
    search_burst: int = Field(20, ge=1, le=1_000_000, description="Searches that may come at once under that limit.")

    audit: bool = Field(True, description="Whether every search and write is recorded in the audit log.")
    audit_days: int = Field(
        365,
        ge=0,
        le=36_500,
        description="How long the audit log, which holds ids of items, is kept; 0: for ever.",
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="What is logged, from here up.")
    log_json: bool = Field(False, description="Whether the log is JSON, a line each, instead of text for people.")

    _sources: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)  # `load` brings the others, to know which value is whose

    @classmethod
    def load(cls, config: Path | None = None, **arguments: object) -> Self:
        """Arguments before VANTAGE_* variables before the file before defaults; an argument of None was not given.

        config: the TOML file; else the one that VANTAGE_CONFIG names; else vantage.toml, if there is one here. Paths in
        it are relative to the working directory, as everywhere.
        """
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        named = config or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
        file = named or CONFIG_FILE
        for name, value in (_read(file) if named or file.is_file() else {}).items():
            values[name], sources[name] = value, str(file)
        for name, value in cls._from_environment().items():
            values[name], sources[name] = value, PREFIX + name.upper()
        for name, value in arguments.items():
            if value is not None:
                values[name], sources[name] = value, "argument"
        for name in values:
            if name not in cls.model_fields:
                raise SettingsError(f"{sources[name]}: there is no setting {name!r}{_nearest(name, cls.model_fields)}")
        try:
            settings = cls(**values)
        except ValidationError as error:
            raise SettingsError("; ".join(_sentence(dict(each), sources) for each in error.errors())) from error
        settings._sources.update(sources)
        return settings

    @classmethod
    def _from_environment(cls) -> dict[str, Any]:
        fields = {PREFIX + name.upper() for name in cls.model_fields}
        for name in os.environ:
            if name.upper().startswith(PREFIX) and name not in fields | _OTHER_VARIABLES and not _is_link(name):
                raise SettingsError(
                    f"the environment variable {name} is no setting{_nearest(name.upper(), fields | {CONFIG_VARIABLE})}"
                )
        found = EnvSettingsSource(cls, case_sensitive=False)()
        return {name: value for name, value in found.items() if not _is_link(PREFIX + name.upper())}

    @field_validator("database")
    @classmethod
    def _of_a_kind_that_can_be_used(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            return None if value is None else SecretStr(check_address(value.get_secret_value()))
        except DatabaseError as error:
            raise ValueError(str(error)) from None

    @field_validator("proxies")
    @classmethod
    def _of_addresses(cls, value: str | None) -> str | None:
        for part in [] if value is None else value.split(","):
            try:
                ipaddress.ip_network(part.strip())
            except ValueError:
                raise ValueError(
                    f"{part.strip()!r} is no address and no network: write such as 10.0.0.5,172.16.0.0/12"
                ) from None
        return value

    @field_validator("log_level", "device", "gallery", mode="before")
    @classmethod
    def _in_lower_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.default_deadline_ms > self.max_deadline_ms:
            raise ValueError(
                f"default_deadline_ms is {self.default_deadline_ms} and max_deadline_ms is {self.max_deadline_ms}: the "
                "former cannot exceed the latter"
            )
        if self.gallery == "milvus" and self.milvus_uri is None:
            raise ValueError("gallery is milvus, and milvus_uri is not given: name the server, as http://HOST:19530")
        return self

    @property
    def database_url(self) -> str | None:
        """Where keys, audit log, jobs, and with Milvus the list of galleries are; None: in files."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"sqlite:///{self.data / 'vantage.sqlite'}" if self.gallery == "milvus" else None

    @property
    def search_rate(self) -> Rate | None:
        """How often a key may search that has no rate of its own."""
        return None if self.searches_per_second is None else Rate(self.searches_per_second, self.search_burst)


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """source: argument, the name of an environment variable, the path of a file, or default."""

    name: str
    value: object
    source: str
    description: str


def effective(settings: ServiceSettings) -> list[EffectiveSetting]:
    """All settings in force, and where each came from, with nothing secret in them."""
    return [
        EffectiveSetting(
            name,
            _unsecret(name, getattr(settings, name)),
            settings._sources.get(name, "argument" if name in settings.model_fields_set else "default"),
            field.description or "",
        )
        for name, field in ServiceSettings.model_fields.items()
    ]


def _unsecret(name: str, value: object) -> object:
    """What may be printed: a database's URL without its password."""
    if not isinstance(value, SecretStr):
        return value
    return shown(value.get_secret_value()) if name == "database" else str(value)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{file} cannot be read ({error.strerror}): name a file of settings, or none") from error
    except ValueError as error:  # of TOML and of UTF-8
        raise SettingsError(f"{file} is no TOML: {error}") from error


def _is_link(name: str) -> bool:
    return bool(_LINK.fullmatch(name)) or (name.endswith("_PORT") and "://" in os.environ.get(name, ""))


def _nearest(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f": did you mean {near[0]}?" if near else ": `vantage settings` lists them all"


def _sentence(error: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    if SecretStr in get_args(ServiceSettings.model_fields[name].annotation):
        return f"{name} ({sources.get(name, 'argument')}): {message}"
    return f"{name} is {error['input']!r} ({sources.get(name, 'argument')}): {message[:1].lower()}{message[1:]}"
