"""What pyproject.toml cannot say: a wheel carries the shipped part of `data/` as `asyrp_lib/_data`."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

#: What is shipped; fetched weights and other people's images under `data/` are not.
SHIPPED = (
    "*.md",
    "SHA256SUMS",
    "published.json",
    "trial.json",
    "weights/synthfaces/*",
    "directions/synthfaces/*",
    "edition_1/*",
    "results/**/*.json",
    "results/**/*.csv",
)


class BuildWithData(build_py):
    """Copies the data beside the modules; an editable install reads `data/` itself."""

    def run(self):
        """Build as usual, then copy."""
        super().run()
        for pattern in () if self.editable_mode else SHIPPED:
            for file in Path("data").glob(pattern):
                target = Path(self.build_lib, "asyrp_lib", "_data", file.relative_to("data"))
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


setup(cmdclass={"build_py": BuildWithData})
