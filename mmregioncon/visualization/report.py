"""Pieces of the self-contained HTML report of a pre-training and its transfer."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

PALETTE = [
    (75, 25, 230), (60, 160, 40), (200, 130, 0), (48, 130, 245),
    (180, 30, 145), (128, 128, 0), (170, 60, 200), (40, 90, 150),
]  # fmt: skip


def read_log(run_dir):
    """Read what MMEngine logged in a work dir, over all its (resumed) runs.

    Args:
        run_dir: A ``work_dir`` of mmengine's Runner.

    Returns:
        tuple: The training records (dicts, sorted by step, the latest run's where runs
        overlap) and those of the evaluations, in the order of time; empty lists without any.
    """
    training, evaluations = {}, []
    for file in sorted(Path(run_dir).glob("*/vis_data/scalars.json")):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if "loss" in record:
                training[record["step"]] = record
            else:
                evaluations.append(record)
    return [training[step] for step in sorted(training)], evaluations


def read_scalars(run_dir):
    """The training records of :func:`read_log` and the last evaluation's record (or ``{}``).

    Raises:
        ValueError: no training was logged there.
    """
    training, evaluations = read_log(run_dir)
    if not training:
        raise ValueError(
            f"{run_dir}: no losses in */vis_data/scalars.json. Train into this work_dir first, "
            "with mmengine's LocalVisBackend in vis_backends"
        )
    return training, evaluations[-1] if evaluations else {}


def figure_uri(figure):
    """A matplotlib figure as the ``data:`` URI of an SVG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    return _data_uri("image/svg+xml", buffer.getvalue())


def image_uri(image, quality=90):
    """An image ``(H, W, 3)`` uint8 BGR as the ``data:`` URI of a JPEG."""
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _data_uri("image/jpeg", data.tobytes())


def _data_uri(mime, data):
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def plot_losses(curves, title):
    """Plot losses over iterations, smoothed over a tenth of the run, with the raw ones behind.

    Args:
        curves: ``{label: (records of read_scalars, colour)}``.
        title: Above the axes.

    Returns:
        matplotlib.figure.Figure: not managed by pyplot.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3))
    axes = figure.subplots()
    for label, (records, colour) in curves.items():
        steps = np.array([record["step"] for record in records])
        losses = np.array([record["loss"] for record in records])
        axes.plot(steps, losses, color=colour, alpha=0.25, linewidth=1)
        axes.plot(steps, smooth(losses, max(1, len(losses) // 10)), color=colour, label=label)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("iteration")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        axes.legend(frameon=False)
    return figure


def smooth(values, width):
    """Moving average over up to ``width`` values before and at each position, ``(N,)``."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    end = np.arange(1, len(values) + 1)
    start = np.maximum(end - width, 0)
    return (total[end] - total[start]) / (end - start)


def draw_objects(image, boxes, labels, captions, scale=2):
    """Draw labelled boxes on an enlarged image.

    Args:
        image: ``(H, W, 3)`` uint8 BGR.
        boxes: ``(N, 4)`` xyxy, image pixels.
        labels: N class indices; they choose the colour.
        captions: N strings.
        scale: Enlargement.

    Returns:
        np.ndarray: ``(H * scale, W * scale, 3)`` uint8 BGR.
    """
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    corners = np.rint(np.asarray(boxes, np.float64).reshape(-1, 4) * scale).astype(int).tolist()
    for (x0, y0, x1, y1), label, caption in zip(corners, labels, captions):
        colour = PALETTE[label % len(PALETTE)]
        cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), colour, 2)
        (width, height), _ = cv2.getTextSize(caption, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
        left = max(0, min(x0, image.shape[1] - width - 4))
        top = max(0, y0 - height - 4)
        cv2.rectangle(image, (left, top), (left + width + 4, top + height + 4), colour, -1)
        position = (left + 2, top + height + 1)
        cv2.putText(
            image, caption, position, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255,) * 3, 1, cv2.LINE_AA
        )
    return image


def render_report(file, **context):
    """Fill ``report.html`` (beside this module) with ``context`` and write it to ``file``."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    html = environment.get_template("report.html").render(context)
    Path(file).write_text(html, encoding="utf-8")
