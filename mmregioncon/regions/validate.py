"""Checks that a region file fits its images."""

import numpy as np

from .images import image_shape


def validate_store(store, progress=iter):
    """Check every row of a region file.

    Each image must exist and have the size that the row says, in the frame that training reads;
    boxes must lie inside it and have an area; no image may come twice.

    Args:
        store: :class:`RegionStore`.
        progress: wraps the iterable of row numbers, ``tqdm`` for instance.

    Returns:
        list[str]: one line a problem; empty if all is well.
    """
    problems, seen = [], set()
    for index in progress(range(len(store))):
        row = store[index]
        found = row_problems(row, store.image_file(index))
        if row.img_path in seen:
            found.append("this image has an earlier row; an image may have one row only")
        seen.add(row.img_path)
        problems += [f"row {index}, {row.img_path}: {problem}" for problem in found]
    return problems


def row_problems(row, image_file):
    """Problems of one row, as texts."""
    problems = []
    try:
        height, width = image_shape(image_file)
    except FileNotFoundError:
        problems.append(f"the image is missing ({image_file}); is the root right?")
    except (OSError, ValueError) as error:
        problems.append(f"the image cannot be read: {error}")
    else:
        if (height, width) != (row.height, row.width):
            problems.append(
                f"the image is {width}x{height}, the row says {row.width}x{row.height}; it has "
                "changed since its regions were proposed"
            )
    return problems + box_problems(row)


def box_problems(row):
    """Problems of a row that can be seen without its image, as texts."""
    x1, y1, x2, y2 = row.boxes.T
    problems = []
    outside = np.flatnonzero((x1 < 0) | (y1 < 0) | (x2 > row.width) | (y2 > row.height))
    if len(outside):
        problems.append(f"{len(outside)} boxes outside the image, first {row.boxes[outside[0]]}")
    degenerate = np.flatnonzero(~((x2 > x1) & (y2 > y1)))
    if len(degenerate):
        problems.append(f"{len(degenerate)} boxes without area, first {row.boxes[degenerate[0]]}")
    return problems
