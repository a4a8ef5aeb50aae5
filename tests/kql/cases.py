"""Runs queries with literal input and compares the answers: `cases.py PICKET DATABASE FILE.jsonl [--judged ID,ID…]`.

A line of the file is {"id","query","expected_columns"?,"expected_rows","ordered"?,"oracle"?}, or {"kind":"error",…} for what has
to be refused. Prints each answer that differs, and last "alike A, refused R, differ D"; ends with 1 where one differs that is
not judged to be the recording's fault."""
import collections
import json
import math
import subprocess
import sys

picket, database, file = sys.argv[1:4]
judged = set(sys.argv[5].split(",")) if len(sys.argv) > 5 else set()
with open(file, encoding="utf-8") as lines:
    cases = [json.loads(line) for line in lines if line.strip()]
cases = [c for c in cases if c.get("kind", "rows") in ("rows", "error", "schema") and "nondeterministic" not in c.get("flags", [])]
ran = subprocess.run([picket, "kql", "run", file, "--json", "--database", database], capture_output=True, text=True)
answers = {d["id"]: d for d in map(json.loads, ran.stdout.splitlines())}


def near(a, b, tolerance):
    if isinstance(a, str) or isinstance(b, str):
        try:
            a, b = float(a), float(b)
        except ValueError:
            return a == b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= tolerance * max(abs(a), abs(b))


def alike(a, b, kind, tolerance):
    if a is None or b is None:
        return a is b
    if kind == "dynamic":
        if isinstance(a, list) and isinstance(b, list):
            return len(a) == len(b) and all(alike(x, y, kind, tolerance) for x, y in zip(a, b))
        if isinstance(a, dict) and isinstance(b, dict):
            return a.keys() == b.keys() and all(alike(a[k], b[k], kind, tolerance) for k in a)
        if isinstance(a, bool) or isinstance(b, bool) or isinstance(a, str) or isinstance(b, str):
            return a == b and type(a) is type(b)
        return isinstance(a, (int, float)) and isinstance(b, (int, float)) and near(a, b, tolerance)
    if kind in ("real", "decimal"):
        return near(a, b, tolerance)
    return a == b


def rows_alike(got, wanted, kinds, tolerance, ordered):
    def one(a, b):
        return len(a) == len(b) and all(alike(x, y, k, tolerance) for x, y, k in zip(a, b, kinds))
    if len(got) != len(wanted):
        return False
    if ordered:
        return all(one(a, b) for a, b in zip(got, wanted))
    left = list(got)
    for row in wanted:
        found = next((i for i, other in enumerate(left) if one(other, row)), None)
        if found is None:
            return False
        del left[found]
    return True


def outcome(case, answer):
    if answer is None:
        return "missing"
    if case.get("kind") == "error":
        return "alike" if "refused" in answer else "differ"
    if "refused" in answer:
        return "refused"
    columns = [(c["name"], c["type"]) for c in answer["columns"]]
    wanted = [(c["name"], c["type"]) for c in case.get("expected_columns") or []]
    if wanted and columns != wanted and [n for n, _ in columns] != [n for n, _ in wanted]:
        return "differ"
    if case.get("kind") == "schema":
        return "alike" if columns == wanted else "differ"
    tolerance = 1e-3 if "documentation" in case.get("oracle", "") else 1e-6
    kinds = [t for _, t in (wanted or columns)]
    return "alike" if rows_alike(answer["rows"], case["expected_rows"], kinds, tolerance, case.get("ordered")) else "differ"


counts = collections.defaultdict(collections.Counter)
fault = ran.returncode != 0
for case in cases:
    answer = answers.get(case["id"])
    result = outcome(case, answer)
    counts[case.get("oracle", "own")][result] += 1
    if result in ("differ", "missing"):
        print(f"{result}: {case['id']}\n  {case['query'][:300]}\n  wanted {json.dumps(case.get('expected_rows'))[:300]}\n  got    {json.dumps(answer)[:300]}")
        fault |= case["id"] not in judged
for oracle, count in sorted(counts.items()):
    print(f"{oracle}: " + ", ".join(f"{kind} {count[kind]}" for kind in ("alike", "refused", "differ")))
sys.exit(1 if fault else 0)
