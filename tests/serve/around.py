"""The surroundings of the servers of these tests: the real time, and errors in the log that pytest shows."""

import time

from polyarch.serve import server
from polyarch.serve.surroundings import ServeSurroundings

AROUND = ServeSurroundings(now=time.time, report=server.log_error)
