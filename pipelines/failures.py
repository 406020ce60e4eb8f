"""What can go wrong with a run as a whole; kept apart so that the command line can name it without loading Dagster."""


class RunFailedError(Exception):
    """The pipeline itself failed (not the data); names the day, the stage and the reason."""
