"""The console: what a person sees at `/`, made of files that a browser takes as they are."""

from service.console.page import POLICY, router

__all__ = ["POLICY", "router"]
