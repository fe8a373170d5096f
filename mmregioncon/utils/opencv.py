"""How many threads OpenCV takes."""

import contextlib

import cv2


def pin_opencv():
    """One OpenCV thread in a worker process: the workers are the threads.

    Nothing to do where a fork has inherited one. A process forked from one whose OpenCV had
    started threads waits for ever when it changes their number: see :func:`one_opencv_thread`.
    """
    if cv2.getNumThreads() > 1:
        cv2.setNumThreads(0)


@contextlib.contextmanager
def one_opencv_thread():
    """One OpenCV thread in this process, and so in the workers that are forked within.

    Where there is one already nothing is set: asking for one again waits for ever in a fork of a
    process with OpenCV threads.
    """
    before = cv2.getNumThreads()
    if before > 1:
        cv2.setNumThreads(0)
    try:
        yield
    finally:
        if before > 1:
            cv2.setNumThreads(before)
