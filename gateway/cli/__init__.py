"""The `homeport` command. Thin: each file reads its arguments, calls the rest of the house and shows the result."""
