"""Compares `picket rule test` with answers that are known: `known.py PICKET SIGMA`, a folder as the Sigma project's rules and
regression data with events beside them. Ends with 1 where one differs.

The known answers are pySigma's with SQLite, which has no keywords, and for which `not` of a field that an event lacks is
neither true nor false; rules that are about such are not compared on events of processes."""
import collections
import json
import os
import subprocess
import sys
import tempfile

picket, folder = sys.argv[1:3]
OTHER_SOURCES = ("zeek_rdp_public_listener", "cisco_cli_discovery", "cisco_cli_local_accounts")


def tested(rules, events):
    run = subprocess.run([picket, "rule", "test", "--rules", rules, "--events", events, "--events-as", "sigma", "--json"],
                         capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def lines(path):
    with open(os.path.join(folder, path), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


differ = 0
left_out = set()
for root, _, files in os.walk(os.path.join(folder, "rules")):
    for name in files:
        if name.rsplit(".", 1)[0] in OTHER_SOURCES:
            with open(os.path.join(root, name), encoding="utf-8") as file:
                left_out |= {line.split(":")[1].strip() for line in file if line.startswith("id:")}
found, refused = tested(os.path.join(folder, "rules"), os.path.join(folder, "linux-events/process_creation.ndjson"))
got = collections.Counter((match["event"], match["rule"]) for match in found if match["rule"] not in left_out)
known = collections.Counter((event["event_id"], rule) for event in lines("linux-events/process_creation_matches.ndjson")
                            for rule in event["rule_ids"])
for match in (got - known) + (known - got):
    print("commands:", *match, "is not known" if match in got else "is lacking")
    differ += 1
print(refused, end="")
for case in lines("regression/cases.ndjson"):
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as events:
        events.write("".join(json.dumps(event) + "\n" for event in case["events"]))
        events.flush()
        found, refused = tested(os.path.join(folder, case["rule_file"]), events.name)
    if refused or sorted(match["event"] - 1 for match in found) != sorted(case["matching_events"]):
        print("regression:", case["case"], refused, found)
        differ += 1
print(f"matches {sum(known.values())}, differ {differ}")
sys.exit(1 if differ else 0)
