"""Serve a model over HTTP and from the command line: gallery, embedding queue, API, web console, `vantage`."""
