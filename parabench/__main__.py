"""``python -m parabench`` is ``parabench``."""

from parabench.cli import main

if __name__ == "__main__":
    main()
