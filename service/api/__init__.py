"""The HTTP API: galleries, searches and all that belongs to them, under /v1.

>>> from service.api import create_app
>>> from service.settings import ServiceSettings
>>> app = create_app(ServiceSettings(data="vantage-data"))                            # doctest: +SKIP
"""

from service.api.app import create_app
from service.api.service import Service

__all__ = ["Service", "create_app"]
