import os
import subprocess
import sys
from pathlib import Path

import cv2

from mmregioncon.utils.opencv import one_opencv_thread

ROOT = Path(__file__).parents[2]
FORK_OF_A_THREADED_PARENT = """
import multiprocessing
import cv2, numpy as np
from mmregioncon.utils.opencv import one_opencv_thread

def work():
    with one_opencv_thread():
        pass

cv2.setNumThreads(4)
cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (9, 9), 2)  # starts OpenCV's threads
cv2.setNumThreads(0)  # as MMEngine's Runner does
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join(20)
process.kill()
process.join()
print(process.exitcode)
"""


def test_a_fork_of_a_process_with_opencv_threads_does_not_hang():
    done = subprocess.run(
        [sys.executable, "-c", FORK_OF_A_THREADED_PARENT],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        timeout=300,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["0"]


def test_the_number_of_threads_comes_back():
    cv2.setNumThreads(3)
    with one_opencv_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == 3
    cv2.setNumThreads(0)
