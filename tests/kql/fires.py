"""Runs the IoT rules, explorations and parsers that are published, on rows made for them: `fires.py PICKET DATABASE SAMPLES`.

On rows of the kind that a query looks for it gives some, and on rows of another kind none. Prints each that does otherwise, and
last how many were run; ends with 1 where one was silent, spoke without cause, or was refused."""
import datetime
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import yaml

picket, database, samples = sys.argv[1:4]


def text(value):
    return json.dumps(value)


def ago(minutes):
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=minutes)).strftime("datetime(%Y-%m-%dT%H:%M:%SZ)")


NOW = ago(0)


def table(name, columns, rows):
    cells = ", ".join(cell for row in rows for cell in row)
    return f"let {name} = datatable({', '.join(f'{c}:{t}' for c, t in columns)}) [{cells}];\n"


ALERT = [("TimeGenerated", "datetime"), ("ProductName", "string"), ("AlertName", "string"), ("ProcessingEndTime", "datetime"),
         ("ExtendedProperties", "string"), ("RemediationSteps", "string"), ("ProductComponentName", "string"),
         ("AlertSeverity", "string"), ("Description", "string"), ("Tactics", "string"), ("Entities", "string"),
         ("VendorOriginalId", "string"), ("AlertLink", "string")]


def alert(name, product="Azure Security Center for IoT", late=0):
    extended = {"DeviceId": "plc-1", "SourceDeviceAddress": "10.0.0.1", "DestinationDeviceAddress": "10.0.0.2", "Protocol": "MODBUS"}
    return [NOW, text(product), text(name), ago(late), text(json.dumps(extended)), text('["Look at it"]'), "''", "'Medium'", "'d'",
            "'Impact'", "'[]'", "'1'", "''"]


EVENT = [("TimeGenerated", "datetime"), ("TimeStamp", "datetime"), ("DeviceId", "string"), ("RawEventName", "string"), ("EventDetails", "string"),
         ("AgentVersion", "string"), ("AssociatedResourceId", "string"), ("AzureSubscriptionId", "string")]


def event(name, details):
    return [NOW, NOW, "'sensor-1'", text(name), text(json.dumps(details)), "'1.0'", "''", "''"]


def connection(client, server, first=1):
    side = lambda i, n: {"deviceType": "PLC", "deviceId": i, "ipAddress": f"10.0.0.{i}", "isExternal": False, "deviceName": n}
    return {"ClientDevice": side(first, client), "ServerDevice": side(first + 1, server), "Bandwidth": 5000, "Protocol": "MODBUS", "ServerPort": 502,
            "LastActivity": "2026-01-02T03:04:05Z"}


CLAROTY = [("TimeGenerated", "datetime"), ("EventOriginalType", "string"), ("EventType", "string"), ("EventSeverity", "string"),
           ("EventMessage", "string"), ("site_name", "string"), ("CategoryAccess", "string"), ("DstIpAddr", "string"), ("SrcIpAddr", "string")]


def claroty(kind, severity="5", message="", access=""):
    return [NOW, text(kind), text(kind), text(severity), text(message), "'site'", text(access), "'10.0.0.2'", "'10.0.0.1'"]


FAILED = "User bob failed to log in"
CLAROTY_ROWS = {
    "AssetDown": claroty("Alert/Asset Down"), "CriticalBaselineDeviation": claroty("Baseline Deviation"),
    "BaselineDeviation": claroty("Event/Baseline Deviation", "1"), "MultipleFailedLogins": claroty("Login to SRA", message=FAILED),
    "SRAFailedLogins": claroty("Login to SRA failed", message=FAILED), "ScanSources": claroty("TCP Scan"),
    "WriteExecute": claroty("Operation", access="Write")}
QUIET_CLAROTY = [claroty("Asset Up"), claroty("Login to SRA succeeded"), claroty("Operation", access="Read")]
PROCESS = {"EventType": "EXEC", "Commandline": "ls -la", "Executable": "/bin/ls", "ProcessId": 7, "HitCount": 1, "MessageSource": "Linux"}


def cases(name, query):
    """Rows for which it has to speak, one table at a time, and rows for which it has not."""
    if "ClarotyEvent" in query:
        row = next(rows for part, rows in CLAROTY_ROWS.items() if part in name)
        return [table("ClarotyEvent", CLAROTY, [row] * 11)], table("ClarotyEvent", CLAROTY, QUIET_CLAROTY)
    if "SecurityAlert" in query:
        names = re.findall(r'AlertName (?:==|contains|has|=~) "([^"]+)"', query)
        quiet = [alert("Something else"), alert(names[0], "Another product")]
        if "ProcessingEndTime + 60m" in query:
            quiet.append(alert(names[0], late=61))
        return [table("SecurityAlert", ALERT, [alert(n)]) for n in names], table("SecurityAlert", ALERT, quiet)
    if "ClientDevice" in query:
        return ([table("SecurityIoTRawEvent", EVENT, [event("Connection", connection(a, b))]) for a, b in (("me", "other"), ("other", "me"))],
                table("SecurityIoTRawEvent", EVENT, [event("Connection", connection("a", "b", 8)), event("Login", {"UserName": "me"})]))
    if "SecurityIoTRawEvent" in query:
        login = event("Login", {"Operation": "LoginFailed", "UserName": "root", "RemoteAddress": "10.0.0.9", "ProcessId": 3, "Executable": "sshd"})
        made, ended = event("Process", PROCESS), event("Process", {**PROCESS, "EventType": "EXIT"})
        rows = {"Login": (login, [made]), "Terminate": (ended, [login, made]), "Create": (made, [login, ended])}
        fires, quiet = rows["Login" if '"Login"' in query else "Terminate" if "Terminate" in name else "Create"]
        return [table("SecurityIoTRawEvent", EVENT, [fires])], table("SecurityIoTRawEvent", EVENT, quiet)
    columns = [("TimeGenerated", "datetime"), ("ProcessName", "string"), ("SyslogMessage", "string")]
    message = "'NAC Policy Log: Source: 10.1.2.3, Reason: seen'"
    return ([table("Syslog", columns, [[NOW, "'ACTIONidentity'", message]])], table("Syslog", columns, [[NOW, "'sshd'", message]]))


def read(file):
    """The query, with what it takes given its defaults, and with itself as the device, host or address that is asked for."""
    with open(file, encoding="utf-8") as source:
        whole = source.read()
    if not file.endswith((".yaml", ".yml")):
        return whole
    document = yaml.safe_load(whole)
    query = document.get("query") or document.get("ParserQuery") or document["FunctionQuery"]
    for parameter in document.get("ParserParams", []):
        default = str(parameter.get("Default", "")).strip()
        quoted = parameter["Type"] == "string" and not default.startswith(("'", '"'))
        query = f"let {parameter['Name']} = {text(default) if quoted else default.lower() if parameter['Type'] == 'bool' else default};\n{query}"
    asked = {"<HostName>": "me", "<DeviceId>": "sensor-1_1", "<Address>": "10.0.0.1"}
    for placeholder, value in asked.items():
        query = query.replace(placeholder, value)
    return query


lines, wanted = [], {}
for file in sorted(glob.glob(os.path.join(samples, "iot", "*"))):
    name, query = os.path.basename(file), read(file)
    speaks, silent = cases(name, query)
    for i, prelude in enumerate(speaks):
        wanted[f"{name} {i}"] = True
        lines.append({"id": f"{name} {i}", "query": prelude + query})
    wanted[f"{name} quiet"] = False
    lines.append({"id": f"{name} quiet", "query": silent + query})

with tempfile.NamedTemporaryFile("w", suffix=".jsonl", delete=False) as out:
    out.writelines(json.dumps(line) + "\n" for line in lines)
said = subprocess.run([picket, "kql", "run", out.name, "--json", "--database", database], capture_output=True, text=True).stdout
os.unlink(out.name)
answers = {a["id"]: a for a in map(json.loads, said.splitlines())}
fault = 0
for case, speaks in wanted.items():
    answer = answers.get(case)
    if answer is None or "refused" in answer or bool(answer["rows"]) != speaks:
        print(f"{case}: {'rows' if speaks else 'no rows'} wanted, and it gives {json.dumps(answer)[:400]}")
        fault += 1
print(f"{len(wanted)} runs of {len(set(c.rsplit(' ', 1)[0] for c in wanted))} queries, {fault} otherwise than wanted")
sys.exit(1 if fault else 0)
