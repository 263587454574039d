"""Tool servers, reached over MCP: the client side, and the doors through which ours serve other hosts."""
