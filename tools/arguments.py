"""argparse with the exit code of every other tool for a wrong command line: 64."""

import argparse
import sys


class Arguments(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, f"dev: {self.prog.removeprefix('./dev ')}: {message}; see {self.prog} --help\n")
