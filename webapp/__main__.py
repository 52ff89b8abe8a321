"""``python -m webapp`` is ``durable-chat``."""

from webapp.cli import main

if __name__ == "__main__":
    main()
