"""Homeport's tool servers. Each is a whole MCP server of its own: `python -m mcp_tools.rag`."""
