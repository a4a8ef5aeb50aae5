"""Judges recorded attacks and ordinary traffic by the built-in detections: `known.py PICKET TELEMETRY`, a folder with logs of sshd and
connections as Zeek writes them. Ends with 1 where an attacking source is not found, or an ordinary one is."""
import collections
import datetime
import json
import os
import re
import subprocess
import sys
import tempfile

picket, folder = sys.argv[1:3]
FAILURES_MIN = 5  # of one source within ten minutes; slower ones are known by their file
wrong = []


def judged(events):
    """Which rules fire on which events, by the events' numbers."""
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
        for number, event in enumerate(events):
            file.write(json.dumps({"event_id": str(number), **event}) + "\n")
        file.flush()
        run = subprocess.run([picket, "rule", "test", "--built-in", "--events", file.name, "--json"], capture_output=True, text=True, check=True)
    return [(match["rule"], int(match["event"])) for match in map(json.loads, run.stdout.splitlines())]


def logins(path, year):
    """A log of sshd's as events of logins."""
    events = []
    with open(os.path.join(folder, path), encoding="utf-8", errors="replace") as file:
        for line in file:
            begins = re.match(r"(\w{3})\s+(\d+) (\d\d:\d\d:\d\d) \S+ sshd", line)
            failed = re.search(r"Failed password for (?:invalid user )?(\S+) from (\S+)", line)
            if not failed and "Failed password" not in line and "-bf/" in path:
                failed = re.search(r"Invalid user (\S+) from (\S+)", line)
            accepted = re.search(r"Accepted \S+ for (\S+) from (\S+)", line)
            repeated = re.search(r"message repeated (\d+) times", line)
            who = accepted or failed
            if not begins or not who:
                continue
            at = datetime.datetime.strptime(f"{year} {begins[1]} {begins[2]} {begins[3]}", "%Y %b %d %H:%M:%S")
            events.append({"name": "Login", "device": "d", "time_stamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "hit_count": int(repeated[1]) if repeated else 1,
                           "details": {"Operation": "login", "Executable": "/usr/sbin/sshd", "Result": "Success" if accepted else "Fail",
                                       "UserName": who[1], "RemoteAddress": who[2].rstrip(".")}})
    return events


def connections(path):
    """Zeek's conn.log as events of the devices that began them."""
    rows, names = [], []
    with open(os.path.join(folder, path), encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("#fields"):
                names = line.rstrip("\n").split("\t")[1:]
            elif line.startswith("{"):
                rows.append(json.loads(line))
            elif not line.startswith("#"):
                rows.append(dict(zip(names, line.rstrip("\n").split("\t"))))
    rows.sort(key=lambda row: float(row["ts"]))
    return [{"name": "ConnectionCreate", "device": row["id.orig_h"],
             "time_stamp": datetime.datetime.fromtimestamp(float(row["ts"]), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
             "details": {"RemoteAddress": row["id.resp_h"], "RemotePort": str(row["id.resp_p"]), "LocalAddress": row["id.orig_h"],
                         "LocalPort": str(row["id.orig_p"]), "Direction": "Out", "Protocol": row["proto"]}} for row in rows]


def compare(what, found, wanted):
    if found != wanted:
        wrong.append(f"{what}: found {sorted(found)}, not {sorted(wanted)}")
    print(f"{what}: {len(found)} sources")


for path, year in (("crowdsec-tests/ssh-bf/ssh-bf.log", 2020), ("crowdsec-tests/ssh-slow-bf/ssh-slow-bf.log", 2020),
                   ("loghub/OpenSSH_first800.log", 2016), ("crowdsec-tests/sshd-success-logs/sshd-success-logs.log", 2021)):
    if not os.path.exists(os.path.join(folder, path)):
        continue
    events = logins(path, year)
    failures = collections.Counter()
    for event in events:
        if event["details"]["Result"] == "Fail":
            failures[event["details"]["RemoteAddress"]] += event["hit_count"]
    found = {events[number]["details"]["RemoteAddress"] for rule, number in judged(events) if rule == "IoT_Bruteforce_Fail"}
    compare(path, found, {source for source, count in failures.items() if count >= FAILURES_MIN})

for path, attackers in (("zeek-stratosphere-GPL2/001-zeek-scenario-malicious/conn.log", {"192.168.1.115"}),
                        ("zeek-stratosphere-GPL2/slips/port-scans/vertical/conn.log", {"192.168.1.9"}),
                        ("zeek-stratosphere-GPL2/006-zeek-scenario-ssh/conn.log", set())):
    if not os.path.exists(os.path.join(folder, path)):
        continue
    events = connections(path)
    compare(path, {events[number]["device"] for _, number in judged(events)}, attackers)

print("\n".join(wrong))
sys.exit(1 if wrong else 0)
