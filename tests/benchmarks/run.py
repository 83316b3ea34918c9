"""tests/bench, inside the root and after the build."""
import argparse
import csv
import pathlib
import sys

import measures
import table

ROWS = pathlib.Path("build/bench/rows.csv")
PAGE = pathlib.Path("docs/benchmarks.md")
APART = {"execution", "items", "instrument", "evidence"}  # have tables of their own


def read_rows():
    if not ROWS.exists():
        return []
    with ROWS.open(newline="") as file:
        return [row for row in csv.reader(file)][1:]


def write_rows(rows):
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    with ROWS.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("benchmark", "run", "value", "unit"), *rows])


def main():
    parser = argparse.ArgumentParser(prog="tests/bench")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--list", action="store_true", help="names of the benchmarks")
    parser.add_argument("--table", action="store_true", help="measure nothing; write the table from the rows that are there")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md as it is")
    options = parser.parse_args()
    if options.list:
        for name, measure in measures.ALL.items():
            print(f"{name:12} {measure.__doc__.splitlines()[0]}")
        return 0
    unknown = [name for name in options.names if name not in measures.ALL]
    if unknown:
        print(f"bench: no benchmark {unknown[0]}; see tests/bench --list", file=sys.stderr)
        return 2
    names = [] if options.table else options.names or list(measures.ALL)
    for name in names:
        new = []
        for benchmark, number, value, unit in measures.ALL[name](options.runs):
            new.append((benchmark, str(number), f"{value:.6g}", unit))
            print(f"{benchmark:44} run {number + 1}: {value:12.2f} {unit}", flush=True)
        mine = {row[0].split(".")[0] for row in new}
        write_rows([row for row in read_rows() if row[0].split(".")[0] not in mine] + new)
    figures = table.figures_of(read_rows())
    small = set(names) <= APART and names
    if not small:
        print(table.render(figures, measures.CORES))
    if not small or "execution" in names:
        print("\n".join(table.execution(figures)))
    if not small or "evidence" in names:
        print("\n".join(table.evidence(figures)))
    write_page(options, names, figures)
    if not small or set(names) & {"items", "instrument"}:
        print("\n".join(table.items(figures, names)))
    return 0


def write_page(options, names, figures):
    """Each table from rows of at least five runs only; kernels, items with the instrumenter, and evidence have blocks of their own."""
    if options.no_write:
        return
    kernels = {name: figure for name, figure in figures.items() if name.startswith("execution.")}
    items = {name: figure for name, figure in figures.items() if name.startswith(("items.", "instrument."))}
    evidence = {name: figure for name, figure in figures.items() if name.startswith("evidence.")}
    others = {name: figure for name, figure in figures.items() if name.split(".")[0] not in APART}
    page = PAGE.read_text()
    if others and (not names or set(names) - APART):
        page = replaced(page, others, table.render(others, measures.CORES), table.MARKS)
    if items:
        page = replaced(page, items, "\n".join(table.items(items)), table.ITEMS_MARKS)
    if evidence:
        page = replaced(page, evidence, "\n".join(table.evidence(evidence)), table.EVIDENCE_MARKS)
    if kernels:
        page = replaced(page, kernels, "\n".join(table.execution(kernels)), table.EXECUTION_MARKS)
    PAGE.write_text(page)


def replaced(page, figures, text, marks):
    if all(figure.runs >= 5 for figure in figures.values()):
        return table.into_page(page, text, marks)
    print("bench: fewer than 5 runs of something; that table of docs/benchmarks.md stays as it is", file=sys.stderr)
    return page


if __name__ == "__main__":
    sys.exit(main())
