"""Writes plain data as YAML: what a pipeline file needs and no more. Scalars are written as JSON, which YAML reads."""

import json


def yaml_text(value, indent=0):
    """`value` is a dictionary of dictionaries, lists, texts, numbers, booleans. Texts with line ends become blocks."""
    lines = []
    pad = "  " * indent
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [f"{pad}{key}:", yaml_text(item, indent + 1).rstrip("\n")]
        elif isinstance(item, str) and "\n" in item:
            lines.append(f"{pad}{key}: |-")
            lines += [f"{pad}  {line}" for line in item.strip("\n").split("\n")]
        else:
            lines.append(f"{pad}{key}: {json.dumps(item, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"
