"""Exits with 0 if the service in this container is ready; else says why not, for `docker inspect` to show."""

import http.client
import json
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("VANTAGE_PORT", "8000")), timeout=4)
try:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    body = json.load(answer)
except (OSError, http.client.HTTPException, ValueError) as error:
    sys.exit(f"the service does not answer: {error}")
if answer.status != 200:
    sys.exit(body.get("detail", f"/readyz answers {answer.status}"))
