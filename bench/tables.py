#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause-Patent
"""Write the tables of the storage engine in docs/performance.md from lists that bench/run made: what stands between
<!-- figures: NAME --> and <!-- end --> is replaced. A figure that no list has leaves its cell empty; a later list counts more.

usage: bench/tables.py [--doc docs/performance.md] LIST.json...
"""
import argparse
import json
import re
import sys

STORES = ["vos", "rocksdb", "lmdb"]


class Figures:
    def __init__(self, paths):
        self.all = {}
        self.loads = []
        for path in paths:
            with open(path, encoding="utf-8") as file:
                for figure in json.load(file):
                    if figure["name"] == "run.load":
                        self.loads.append(figure["value"])
                    self.all[figure["name"]] = figure

    def value(self, name):
        return self.all[name]["value"] if name in self.all else None

    def text(self, name, digits=3):
        value = self.value(name)
        return "" if value is None else number(value, digits)

    def with_target(self, name):
        text = self.text(name)
        target = self.all.get(name, {}).get("target")
        return f"{text} ({number(target)})" if text and target else text

    def sizes(self, pattern):
        found = {int(match.group(1)) for match in (re.fullmatch(pattern, name) for name in self.all) if match}
        return sorted(found)


def number(value, digits=3):
    """Three digits that count, thousands apart."""
    if value == 0:
        return "0"
    places = digits - len(str(int(abs(value)))) if abs(value) >= 1 else digits - 1
    rounded = round(value, places)
    return f"{rounded:,.{max(places, 0)}f}"


def table(head, rows):
    """Columns that nobody filled are left out."""
    kept = [i for i in range(len(head)) if not rows or any(row[i] for row in rows)]
    head, rows = [head[i] for i in kept], [[row[i] for i in kept] for row in rows]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def peer(figures):
    rows = []
    for size in figures.sizes(r"peer\.insert\.(\d+)\.vos"):
        label = "64 B" if size == 64 else f"{size // 1024} KiB"
        for phase, text in [("insert", "insert, /s"), ("update", "overwrite, /s"), ("update_singles", "the same, one call each, /s"),
                            ("fetch", "fetch, /s"), ("list", "listed keys, /s"), ("list_hashed", "the same, vos with hashed keys"), ("list_lexical", "vos with lexical keys"), ("fetch_cold", "cold fetch, one at a time, /s"),
                            ("fetch_cold_16", "the same, 16 in flight, /s"), ("insert_cpu", "processor's time of an insert, ns"),
                            ("update_cpu", "of an overwrite"), ("fetch_cpu", "of a fetch"), ("insert_written", "bytes written for an insert"),
                            ("update_written", "for an overwrite"), ("update_later_written", "for it later"), ("fetch_cold_read", "bytes read for a cold fetch"),
                            ("insert_space", "space after inserts, MB"), ("log_space", "of it the log, which has its blocks from the beginning"),
                            ("insert_memory", "memory of its own, MB"), ("insert_settle", "left for later, inserts, s"),
                            ("update_settle", "the same, overwrites, s")]:
            cells = [figures.text(f"peer.{phase}.{size}.{store}") for store in STORES]
            if any(cells):
                rows.append([label, text] + cells + [figures.with_target(f"peer.{phase}_time.{size}")])
    return table(["value", "", "vos", "RocksDB", "LMDB", "vos' time by that of the faster (target)"], rows)


def curve(figures):
    columns = [("insert", "inserts/s"), ("insert_instructions", "instructions"), ("update_any", "overwrites/s"), ("update_any_cpu", "cpu, ns"),
               ("update_instructions", "instructions"), ("pages_per_update", "pages"), ("fetch_any", "fetches/s"), ("fetch_any_cpu", "cpu, ns"),
               ("fetch_instructions", "instructions"), ("pages_per_fetch", "pages"), ("dram_per_value", "B of memory a value"), ("open", "open, ms")]
    rows = [[f"{keys:,}"] + [figures.with_target(f"mem.{name}.{keys}") for name, _ in columns] for keys in figures.sizes(r"mem\.insert\.(\d+)")]
    return table(["keys"] + [text for _, text in columns], rows)


def limit(figures):
    columns = [("limit_memory", "memory, MiB"), ("limit_insert", "inserts/s"), ("limit_fetch_hot", "hot fetches/s"), ("limit_loads_per_fetch_hot", "reads each"),
               ("limit_fetch_any", "fetches of any key/s"), ("limit_loads_per_fetch", "reads each"), ("limit_update_any", "overwrites of any key/s"),
               ("limit_loads_per_update", "reads each"), ("close_limit", "close, ms"), ("open_limit", "open, ms")]
    rows = [[f"{keys:,}"] + [figures.text(f"mem.{name}.{keys}") for name, _ in columns]
            for keys in figures.sizes(r"mem\.limit_insert\.(\d+)")]
    return table(["keys"] + [text for _, text in columns], rows)


def scale(figures):
    columns = [("scale_memory", "memory, MiB"), ("scale_arena_per_value", "B a value"), ("scale_load_cpu", "cpu of an insert, ns"),
               ("scale_fetch_hot", "hot fetches/s"), ("scale_fetch_hot_cpu", "cpu, ns"), ("scale_fetch_instructions", "instructions"),
               ("scale_fetch_any", "fetches of any key/s"), ("scale_fetch_any_cpu", "cpu, ns"), ("scale_fetch_any_reads", "reads each"),
               ("scale_fetch_cold_pages", "reads, nothing in memory"), ("scale_update_any_reads", "reads of an overwrite"),
               ("scale_update_cold_pages", "nothing in memory"), ("scale_update_instructions", "instructions"), ("close_scale", "close, ms"),
               ("open_scale", "open, ms"), ("scale_open_memory", "memory then, MiB")]
    rows = [[f"{keys:,}"] + [figures.text(f"mem.{name}.{keys}") for name, _ in columns]
            for keys in figures.sizes(r"mem\.scale_memory\.(\d+)")]
    return table(["keys"] + [text for _, text in columns], rows)


def single(names):
    def make(figures):
        rows = []
        for pattern, text in names:
            for name in sorted(n for n in figures.all if re.fullmatch(pattern, n)):
                figure = figures.all[name]
                target = number(figure["target"]) if figure.get("target") else ""
                rows.append([text, f"`{name}`", figures.text(name), target, figure["unit"]])
        return table(["", "figure", "value", "target", "unit"], rows)
    return make


TABLES = {
    "peer": peer,
    "curve": curve,
    "limit": limit,
    "scale": scale,
    "sizes": single([(r"mem\.file_warm\.\d+", "object with one extent of 4 KiB, with it"), (r"mem\.file_cooled\.\d+", "the same, cooled"),
                     (r"mem\.file_cooled_memory\.\d+", "the same, resident pages"), (r"mem\.file_cooling_cpu\.\d+", "cooling one"),
                     (r"mem\.replay\.\d+", "replay"), (r"vos\.shape_(update|fetch)(_cpu)?\.\d+", "original's shape")]),
    "over": single([(r"over\..*", "")]),
}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--doc", default="docs/performance.md")
    parser.add_argument("lists", nargs="+")
    args = parser.parse_args()
    figures = Figures(args.lists)
    loads = f"Load {min(figures.loads):.1f} to {max(figures.loads):.1f} when the runs began." if figures.loads else ""

    with open(args.doc, encoding="utf-8") as file:
        text = file.read()
    for name, make in TABLES.items():
        lines = make(figures)
        if len(lines) == 2:
            continue  # nothing of it was measured
        pattern = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            sys.exit(f"{args.doc} has no place for {name}")
        body = "\n".join(lines) + (f"\n\n{loads}" if loads else "") + "\n"
        text = pattern.sub(lambda match, body=body: match.group(1) + body + match.group(2), text)
    with open(args.doc, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
