"""The ticketing server: tickets of any HTTP tracker as five MCP tools. `server.create_server` builds it.

Kept empty so that importing the package costs nothing. Read `preset` to describe another tracker.
"""
