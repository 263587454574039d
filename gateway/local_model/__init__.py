"""A model on this machine: its weights, and llama.cpp as a child process. Nothing of agents or dialects."""
