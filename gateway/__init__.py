"""Homeport, the agent gateway you own. Read docs/architecture.md first, then engine.py."""
