"""Draw the boxes of a region file on its images: a PNG sheet, or one picture an image.

Rows are taken evenly from the whole file; the best boxes of each are drawn.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

from mmregioncon.regions import RegionStore, read_image

COLOURS = ((64, 64, 255), (64, 200, 64), (255, 128, 0), (0, 200, 255), (255, 0, 200), (200, 200, 0))


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("regions", help="region file")
    parser.add_argument("--root", help="folder of the images (default: as the file says)")
    parser.add_argument("--out", required=True, help="a .png for one sheet, else a folder")
    parser.add_argument("--num", type=int, default=12, help="images (default: 12)")
    parser.add_argument("--boxes", type=int, default=15, help="boxes an image (default: 15)")
    parser.add_argument("--size", type=int, default=320, help="side of a sheet's cells")
    return parser.parse_args(argv)


def draw_row(img, row, num_boxes):
    """Draw the best boxes on a copy of ``img`` ``(H, W, 3)`` uint8 BGR."""
    img = img.copy()
    best = np.argsort(-row.scores, kind="stable")[:num_boxes]
    thickness = max(1, round(max(img.shape) / 320))
    for number, box in enumerate(row.boxes[best]):
        x1, y1, x2, y2 = box.round().astype(int).tolist()
        colour = COLOURS[number % len(COLOURS)]
        cv2.rectangle(img, (x1, y1), (x2 - 1, y2 - 1), colour, thickness)
    return img


def make_sheet(pictures, size):
    """Put pictures into square cells of ``size`` pixels, four in a line."""
    columns = min(4, len(pictures))
    lines = -(-len(pictures) // columns)
    sheet = np.full((lines * size, columns * size, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        scale = size / max(picture.shape[:2])
        width, height = (max(1, int(side * scale)) for side in picture.shape[1::-1])
        y, x = (size * index for index in divmod(number, columns))
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        sheet[y : y + height, x : x + width] = picture
    return sheet


def browse(store, num, num_boxes):
    """Yield ``(image path, picture)`` of evenly spaced rows; unreadable images are reported."""
    for index in np.unique(np.linspace(0, len(store) - 1, num).astype(int)):
        row = store[index]
        try:
            img = read_image(store.image_file(index))
        except (OSError, ValueError) as error:
            print(f"{row.img_path}: {error}", file=sys.stderr)
            continue
        yield row.img_path, draw_row(img, row, num_boxes)


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        store = RegionStore(args.regions, root=args.root)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    pictures = list(browse(store, min(args.num, len(store)), args.boxes))
    if not pictures:
        print(
            f"error: {args.regions}: no image to draw in {store.root}; set --root", file=sys.stderr
        )
        return 1
    out = Path(args.out)
    if out.suffix.lower() == ".png":
        out.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(out), make_sheet([picture for _, picture in pictures], args.size))
    else:
        for path, picture in pictures:
            target = (out / path).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(target), picture)
    print(f"{out}: {len(pictures)} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
