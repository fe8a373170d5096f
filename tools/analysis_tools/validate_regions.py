"""Check that a region file fits its images; the exit code is 1 if it does not.

Every row's image must exist and have that size, its boxes must lie inside and have an area, and
no image may come twice.
"""

import argparse
import json
import sys

from tqdm import tqdm

from mmregioncon.regions import RegionStore, validate_store
from mmregioncon.regions.atomic import atomic_path


def parse_args(argv=None):
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("regions", help="region file")
    parser.add_argument("--root", help="folder of the images (default: as the file says)")
    parser.add_argument("--show", type=int, default=20, help="problems to print (default: 20)")
    parser.add_argument("--json", metavar="FILE", help="write all problems to this file")
    return parser.parse_args(argv)


def main(argv=None):
    """Run the tool; returns the exit code."""
    args = parse_args(argv)
    try:
        store = RegionStore(args.regions, root=args.root)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    problems = validate_store(store, progress=lambda rows: tqdm(rows, unit="img"))
    if args.json:
        with atomic_path(args.json) as temporary:
            temporary.write_text(json.dumps(dict(images=len(store), problems=problems), indent=2))
    for problem in problems[: args.show]:
        print(problem)
    if problems:
        print(f"{args.regions}: {len(problems)} problems in {len(store)} images")
        return 1
    print(f"{args.regions}: {len(store)} images, no problems")
    return 0


if __name__ == "__main__":
    sys.exit(main())
