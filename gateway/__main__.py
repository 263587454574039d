"""`python -m gateway` is the `homeport` command."""

from gateway.cli.main import main

if __name__ == "__main__":
    main()
