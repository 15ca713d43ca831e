"""YAML to dataclasses and back: types of options, the tree, the documentation of each key."""
