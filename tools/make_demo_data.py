"""Draw the demo data set: scenes of several objects, without any download."""

import argparse
import time
from pathlib import Path

from mmregioncon.datasets.demo import make_demo_data


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("data/demo"), help="where to write")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    parser.add_argument("--num-unlabelled", type=int, default=800, help="pictures without boxes")
    parser.add_argument("--num-train", type=int, default=60, help="labelled, for fine-tuning")
    parser.add_argument("--num-val", type=int, default=150, help="labelled, for evaluation")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    return parser.parse_args()


def main():
    """Make the data set, or keep the one that is there."""
    args = vars(parse_args())
    start = time.perf_counter()
    made = make_demo_data(**args)
    what = f"made in {time.perf_counter() - start:.1f} s" if made else "already there, kept"
    print(
        f"demo data {what}: {args['root']} ({args['num_unlabelled']} unlabelled, "
        f"{args['num_train']} train, {args['num_val']} val pictures)"
    )


if __name__ == "__main__":
    main()
