from .region_views import draw_boxes, draw_views

__all__ = ["draw_boxes", "draw_views"]
