"""Python imports this by itself where it is on the path: llama.cpp is not to be found there, installed or not."""

import sys

sys.modules["xllamacpp"] = None
