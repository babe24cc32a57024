"""What a training shows on the console. Nothing here can change a result."""

import sys
import time

from tqdm import tqdm

from convzoo.training.history import Row


class Progress:
    """A bar over the steps of an epoch on a terminal, and one plain line per epoch everywhere."""

    def __init__(self, network: str, epochs: int, steps: int, quiet: bool) -> None:
        self.title, self.epochs, self.quiet = network, epochs, quiet
        show = not quiet and sys.stderr.isatty()
        self.bar = tqdm(total=steps, desc=network, unit="step", leave=False, disable=not show)
        self.started = time.perf_counter()

    def step(self) -> None:
        self.bar.update()

    def epoch(self, row: Row) -> None:
        """Show the row of an epoch and start on the next one."""
        seconds, self.started = time.perf_counter() - self.started, time.perf_counter()
        self.bar.reset()
        metrics = {name: value for name, value in row.items() if name != "epoch" and value is not None}
        values = " ".join(f"{name} {value:.4g}" for name, value in metrics.items())
        if not self.quiet:
            tqdm.write(f"{self.title} epoch {row['epoch']}/{self.epochs} {values} ({seconds:.1f} s)")
            sys.stdout.flush()

    def close(self) -> None:
        self.bar.close()
