"""What ./dev bench runs: one module a benchmark, each with run(options) → result as plain data."""
