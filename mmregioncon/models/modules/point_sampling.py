"""Features at points of a view."""

import torch
import torch.nn.functional as F


def sample_points(feat, points, size):
    """Bilinear samples of a feature map; beyond its outer cells' centres the map goes on.

    Args:
        feat: ``(B, C, h, w)``, any float dtype, covering the whole view.
        points: ``(B, P, N, 2)`` float32 xy in view pixels (edges: the view spans 0 to its size).
        size: ``(width, height)`` of the view.

    Returns:
        torch.Tensor: ``(B, P, N, C)`` float32.
    """
    with torch.autocast(feat.device.type, enabled=False):
        grid = 2 * points / points.new_tensor(size) - 1
        sampled = F.grid_sample(
            feat.float(), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return sampled.permute(0, 2, 3, 1)  # B C P N -> B P N C
