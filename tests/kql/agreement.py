"""Whether Microsoft's parser and ours take the same texts: `agreement.py PICKET FILE.jsonl|FOLDER…`.

Takes the queries of the files ({"id","query"} a line; in folders Sentinel's YAML and bare .kql), and each of them broken in two ways: a token left out, twice, or in
another's place, from a fixed seed. Prints the texts on which the two differ, and last a line "agree A of N"."""
import glob
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import yaml

picket, files = sys.argv[1], sys.argv[2:]
TOKEN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|\w+|\s+|[^\w\s]")
random.seed(20261128)


def broken(query):
    tokens = TOKEN.findall(query)
    places = [i for i, token in enumerate(tokens) if token.strip()]
    if len(places) < 3:
        return query + " |"
    i, j = random.sample(places, 2)
    how = random.randrange(3)
    if how == 0:
        del tokens[i]
    elif how == 1:
        tokens.insert(i, tokens[i] + " ")
    else:
        tokens[i], tokens[j] = tokens[j], tokens[i]
    return "".join(tokens)


def queries_of(path):
    if os.path.isdir(path):
        for file in sorted(glob.glob(os.path.join(path, "*"))):
            with open(file, encoding="utf-8", errors="replace") as text:
                source = text.read()
            if file.endswith(".kql"):
                yield os.path.basename(file), source
            elif file.endswith((".yaml", ".yml")):
                document = yaml.safe_load(source)
                for key in ("query", "FunctionQuery", "ParserQuery"):
                    if isinstance(document.get(key), str):
                        yield os.path.basename(file), document[key]
        return
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            if line.strip():
                yield f"{os.path.basename(path)}:{number}", json.loads(line)["query"]


texts = []
for file in files:
    for name, query in queries_of(file):
        variants = [(name, query), *((f"{name}:{k}", broken(query)) for k in range(2))]
        texts.extend((n, q) for n, q in variants if not q.lstrip().startswith("."))  # that is a command

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "texts.jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for name, query in texts:
            out.write(json.dumps({"id": name, "query": query}) + "\n")
    here = os.path.dirname(os.path.abspath(__file__))
    theirs = subprocess.run(["node", "--max-old-space-size=4000", os.path.join(here, "parses.js"), path], check=True, capture_output=True, text=True).stdout
    ours = subprocess.run([picket, "kql", "check", path], capture_output=True, text=True).stdout

theirs = {d["id"]: d["accepted"] for d in map(json.loads, theirs.splitlines())}
said = {d["id"]: d for d in map(json.loads, ours.splitlines())}
agree = 0
for name, query in texts:
    found = said[name].get("diagnostics", [{"code": ""}])[0]
    accepted = not found["code"].startswith("syntax.")
    if accepted == theirs[name]:
        agree += 1
    else:
        print(json.dumps({"id": name, "theirs": theirs[name], "ours": found, "query": query}))
print(f"agree {agree} of {len(texts)}")
