"""What the demo shows fits on the terminal, whatever its height, and every question comes round."""

import importlib.util
from pathlib import Path

DEMO = Path(__file__).parents[2] / "tools" / "demo.py"
spec = importlib.util.spec_from_file_location("demo", DEMO)
demo = importlib.util.module_from_spec(spec)
spec.loader.exec_module(demo)


def test_pages_hold_whole_blocks_that_fit_and_all_of_them():
    blocks = [[f"{block}:{line}" for line in range(count)] for block, count in enumerate((3, 5, 2, 9, 4))]
    for room in range(9, 40):
        pages = [demo.fitting(blocks, room, page) for page in range(len(blocks))]
        assert all(len(page) <= room for page in pages)
        assert {line for page in pages for line in page} == {line for block in blocks for line in block}
    assert demo.fitting(blocks, 40, 7) == sum(blocks, [])


def test_a_line_for_no_terminal_names_its_numbers():
    entry = {"client": "acme", "state": "streaming", "queryable_events": 6346, "lag": {"events": 225, "seconds": 0.5},
             "snapshots": [{"table": "public.orders", "fraction": 0.25}], "reason": "", "remedy": ""}
    sentence = demo.ShownClient(entry, 287.2, 1287).sentence()
    assert sentence == ("acme streaming: 287 rows/s written, 1,287/s captured, 6,346 queryable, 225 events, 0.50 s behind, "
                        "reading public.orders: 25%")
    entry["lag"] = {"events": None, "seconds": None}
    assert "? events, 0.00 s behind" in demo.ShownClient(entry, 0, 0).sentence()
    assert "? events, 0.00 s" in demo.ShownClient(entry, 0, 0).lines()[0]
