"""Compiles published queries against published tables: `corpora.py PICKET SAMPLES`.

Prints for each corpus how many compile, of those that name nothing which is not there, and where the result's columns are
known, how many have the same names and types; ends with 1 where a corpus is below its floor. What a workbook puts into a
query, PARAM_…, and a workspace's own tables, …_CL, are not there either; within a text they are only text."""
import collections
import glob
import json
import os
import re
import subprocess
import sys

picket, samples = sys.argv[1:3]
FLOORS = {"iot": 100, "rules": 94, "parsers": 90, "community": 93, "workbook": 91}
SAME_COLUMNS = 0.93  # of those that compile and are known; the rest is in docs/kql.md
elsewhere = ("semantic.unknown_table", "semantic.unknown_function")
needs = ("externaldata", "geo_", "_GetWatchlist")
texts = re.compile(r'''```.*?```|@"[^"]*"|@'[^']*'|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|//[^\n]*''', re.S)

manifest = collections.defaultdict(dict)
with open(os.path.join(samples, "manifest.jsonl"), encoding="utf-8") as lines:
    for line in lines:
        entry = json.loads(line)
        for query in entry["queries"]:
            manifest[entry["file"]][query["n"]] = query


def checked(files):
    said = subprocess.run([picket, "kql", "check", "--schema", os.path.join(samples, "tables.txt"), "--functions",
                           os.path.join(samples, "parsers"), *files], capture_output=True, text=True).stdout
    return [json.loads(line) for line in said.splitlines()]


below = False
for corpus, floor in FLOORS.items():
    path = os.path.join(samples, f"{corpus}-queries.jsonl")
    asked = [json.loads(line) for line in open(path, encoding="utf-8")] if os.path.exists(path) else []
    answers = checked([path] if os.path.exists(path) else sorted(glob.glob(os.path.join(samples, corpus, "*"))))
    fine = refused = same = other = 0
    seen = collections.Counter()
    for number, answer in enumerate(answers):
        file = os.path.relpath(answer["file"], samples)
        entry = asked[number] if asked else manifest[file].get(seen[file], {})
        seen[file] += 1
        if entry.get("microsoft_parser_rejects"):
            continue
        if asked and re.search(r"PARAM_|\w_CL\b", texts.sub('""', entry["query"])):
            continue
        if "diagnostics" in answer:
            code, message = answer["diagnostics"][0]["code"], answer["diagnostics"][0]["message"]
            refused += code not in elsewhere and not any(word in message for word in needs)
            continue
        fine += 1
        wanted = entry.get("result_columns")
        if wanted:
            got = [f"{c['name']}:{c['type']}" for c in answer["columns"]]
            same += got == wanted
            other += got != wanted
            if got != wanted and "--others" in sys.argv:
                print(file, number, "\n  ", got, "\n  ", wanted)
    share = 100 * fine / (fine + refused)
    print(f"{corpus}: {fine} compile, {refused} refused, {share:.1f} %; columns {same} the same, {other} not")
    below |= share < floor or (same + other and same / (same + other) < SAME_COLUMNS)
sys.exit(1 if below else 0)
