"""The one place where configuration is read: environment variables with the prefix ``UNIERP_``.

Every setting is described here once; the README's table is generated from the descriptions. A secret may also be
given as a file: ``UNIERP_ODOO_PASSWORD_FILE=/run/secrets/odoo`` is read where ``UNIERP_ODOO_PASSWORD`` is unset.
A service whose address is unset is run by the lab (:mod:`unierp_assets.lab`).
"""

import os
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Literal
from zoneinfo import available_timezones

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "UNIERP_"
FILE_SUFFIX = "_FILE"


class Settings(BaseSettings):
    """Everything that can be configured. Unset addresses mean: use the lab's embedded service."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", hide_input_in_errors=True)

    home: Path = Field(Path(".unierp"), description="Folder of the embedded services' data and of Dagster's home.")

    odoo_url: str | None = Field(None, description="Address of UniERP, for example `https://erp.example.com`.")
    odoo_db: str | None = Field(None, description="Odoo database name; needed with `UNIERP_ODOO_URL`.")
    odoo_login: str = Field("admin", description="Login of the integration user in Odoo.")
    odoo_password: SecretStr | None = Field(None, description="Password or API key of that user.")
    odoo_timeout: float = Field(120, gt=0, description="Seconds before a call to Odoo is given up.")
    odoo_connections: int = Field(2, ge=1, le=32, description="Parallel connections; no more than Odoo has workers.")
    odoo_batch: int = Field(500, ge=1, le=5000, description="Records per bulk call.")
    odoo_calls_per_second: float | None = Field(
        None, gt=0, description="Calls to Odoo in a second, of all connections together; unlimited unless set."
    )
    odoo_namespace: str = Field(
        "unierp", pattern=r"^[a-z][a-z0-9_]*$", description="Module part of the external ids written to Odoo."
    )

    warehouse_url: SecretStr | None = Field(None, description="PostgreSQL URL of the staging warehouse.")
    storefront_url: SecretStr | None = Field(None, description="PostgreSQL URL of the storefront's database.")
    storefront_schema: str = Field("shop", description="Schema that holds the storefront's tables or views.")

    breaker_failures: int = Field(
        5, ge=1, description="Calls in a row that a system does not answer before it is left alone."
    )
    breaker_seconds: float = Field(30, gt=0, description="Seconds it is left alone before one call tries it.")

    executor: Literal["in_process", "multiprocess", "celery"] = Field(
        "in_process",
        description="Where the steps of a run are taken: in one process (`in_process`), in several of one machine "
        "(`multiprocess`), or by the workers of several machines (`celery`).",
    )
    broker_url: SecretStr | None = Field(
        None,
        description="Address of the Redis through which workers get runs, or the steps of runs, for example "
        "`redis://:key@host/0`.",
    )
    worker_lost_seconds: float = Field(
        300, gt=0, description="Seconds after which a step whose worker has vanished is given to another one."
    )

    automatic: bool = Field(
        True, description="Whether sensors and schedules are on from the start; each can be switched in Dagster's page."
    )
    alert_urls: SecretStr | None = Field(
        None, description="Where alerts are sent: addresses of apprise, comma separated; nowhere unless set."
    )
    alert_minimum: Literal["info", "warning", "critical"] = Field(
        "warning", description="The least severity that is sent: `info`, `warning` or `critical`."
    )
    alert_quiet: str | None = Field(
        None,
        pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d( \S+)?$",
        description="Time of day when only critical alerts are sent, the others afterwards in one message: "
        "`22:00-07:00`, in UTC, or `22:00-07:00 Europe/Berlin`.",
    )
    alert_repeat: float = Field(
        14_400, gt=0, description="Seconds after which an alert that is still open is repeated."
    )
    dagster_page: str = Field("http://127.0.0.1:3000", description="Address of Dagster's page, for links in alerts.")

    log_file: Path | None = Field(
        None,
        description="File to which everything is logged as lines of JSON, `-` for standard output; none unless set.",
    )
    event_log_days: int = Field(
        90, ge=1, description="Days that Dagster's records of ended runs are kept before they are purged."
    )
    low_stock: Decimal = Field(
        Decimal(5), ge=0, description="Below how many units of a variant, in all locations, an alert is sent; 0: never."
    )
    low_stock_levels: dict[str, Decimal] = Field(
        {}, description='Other levels by SKU or name of a category, as JSON: `{"Lamps": 20, "CUP-1": 0}`.'
    )

    overlap_seconds: int = Field(
        60, ge=0, description="How far each incremental read goes back to catch transactions that committed late."
    )
    time_zone: str = Field(
        "UTC",
        description="Time zone of the business, for example `Europe/Berlin`: it says of which day an order, invoice or "
        "payment is. Set it before the first sync; documents that are there keep their days.",
    )
    removal_rows: int = Field(
        20, ge=0, description="So many rows of an entity may vanish at once; more are withdrawn only when confirmed."
    )
    removal_percent: Decimal = Field(
        Decimal(5), ge=0, le=100, description="The same in percent of the entity's rows; the greater number counts."
    )
    slice_rows: int = Field(20_000, ge=100, description="Rows worked on at a time; bounds the memory.")

    @field_validator("alert_quiet")
    @classmethod
    def _zone_is_known(cls, value: str | None) -> str | None:
        zone = value.partition(" ")[2] if value else ""
        if zone and zone not in available_timezones():
            raise ValueError(f"{zone} is no time zone")
        return value

    @field_validator("time_zone")
    @classmethod
    def _time_zone_is_known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value} is no time zone")
        return value

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, values: dict[str, object]) -> dict[str, object]:
        for name in cls.model_fields:
            path = os.environ.get(f"{PREFIX}{name.upper()}{FILE_SUFFIX}")
            if path and values.get(name) is None:
                try:
                    values[name] = Path(path).read_text(encoding="utf-8").strip()
                except OSError as error:
                    variable = f"{PREFIX}{name.upper()}{FILE_SUFFIX}"
                    raise ValueError(f"{variable} names {path}, which cannot be read: {error.strerror}") from None
        return values


def explain(error: ValidationError) -> str:
    """What is wrong with the settings, by the names of the variables and without their values."""
    wrong = []
    for each in error.errors(include_input=False, include_url=False):
        variable = f"{PREFIX}{str(each['loc'][0]).upper()}: " if each["loc"] else ""
        wrong.append(variable + each["msg"].removeprefix("Value error, "))
    return f"{'; '.join(wrong)}. The README lists the settings."


@lru_cache
def get_settings() -> Settings:
    """The settings of this process, read once. Tests call ``get_settings.cache_clear()``."""
    return Settings()
