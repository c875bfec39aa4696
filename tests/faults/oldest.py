"""Prints the lowest version of each dependency that pyproject.toml allows, as constraints for pip: `make test-oldest`."""

import re
import tomllib
from pathlib import Path


def oldest(requirement: str) -> str | None:
  """`"flax>=0.12.8,!=0.12.11,<0.13"` -> `"flax==0.12.8"`; None without a lower bound."""
  found = re.match(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?.*?>=([0-9.]+)", requirement)
  return None if found is None else f"{found[1]}=={found[2]}"


if __name__ == "__main__":
  project = tomllib.loads((Path(__file__).parent.parent.parent / "pyproject.toml").read_text())["project"]
  print("\n".join(line for line in map(oldest, project["dependencies"]) if line))
