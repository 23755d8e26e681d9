"""A few hundred crops of rendered people, and the gallery made of them, so that there is something to ask about."""

from service.demo.loading import GALLERY, GALLERY_LIST, QUERIES, load_demo

__all__ = ["GALLERY", "GALLERY_LIST", "QUERIES", "load_demo"]
