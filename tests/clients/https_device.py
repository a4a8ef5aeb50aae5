"""What devices do over HTTPS beside sending: `https_device.py DEVICES CA TOKEN API`, both URLs.

With the standard library alone, as the C SDK and the classic agents do it. Each check prints its name when it holds; the
first that does not ends the program with 1."""
import base64
import hashlib
import hmac
import http.client
import json
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

DEVICES, CA, TOKEN, API = sys.argv[1:5]
WAIT = 20
HUB = urllib.parse.urlsplit(DEVICES).hostname
context = ssl.create_default_context(cafile=CA)


def call(url, method, headers, body=None):
    request = urllib.request.Request(url, method=method, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, context=context, timeout=WAIT) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers), refused.read()


def api(method, path, body=None):
    code, _, text = call(API + path, method, {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"},
                         None if body is None else json.dumps(body).encode())
    assert code < 300, (method, path, code, text)
    return json.loads(text) if text else None


def check(name, holds, found=None):
    print(("ok   " if holds else "FAIL ") + name, flush=True)
    if not holds:
        print("     found:", found, flush=True)
        sys.exit(1)


def sas(resource, key, skn=None, age=3600):
    resource = urllib.parse.quote(resource, safe="")
    expiry = int(time.time()) + age
    signature = hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    token = f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signature))}&se={expiry}"
    return token if skn is None else token + "&skn=" + skn


def device(method, path, token, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(DEVICES + path, method, {"Authorization": token, **headers}, body)


def when_known(path, token):
    """The list of devices is read anew within a second."""
    pause = threading.Event()
    for _ in range(100):
        found = device("GET", path, token)
        if found[0] != 401:
            return found
        pause.wait(0.1)
    return found


made = api("POST", "/v1/devices", {"id": "https-1"})
module = api("POST", "/v1/devices", {"id": "https-1/azureiotsecurity"})
key, token = made["primary_key"], sas(f"{HUB}/devices/https-1", made["primary_key"])

# Messages from the cloud.
bound = "/devices/https-1/messages/devicebound"
found = when_known(bound + "?api-version=2016-11-14", token)
check("no message waits: 204", found[0] == 204, found)
for i in range(3):
    api("POST", "/v1/devices/https-1/messages", {"body": f"body {i}", "message_id": f"m{i}", "properties": {"n": str(i)}})
code, headers, body = device("GET", bound, token)
check("the oldest message comes first, with its properties",
      code == 200 and body == b"body 0" and headers["iothub-messageid"] == "m0" and headers["iothub-app-n"] == "0"
      and headers["iothub-deliverycount"] == "1", (code, headers, body))
etag = headers["ETag"].strip('"')
check("completing it: 204", device("DELETE", f"{bound}/{etag}", token)[0] == 204)
check("its lock is gone then: 412", device("DELETE", f"{bound}/{etag}", token)[0] == 412)
code, headers, body = device("GET", bound.replace("devicebound", "deviceBound"), token)
check("the next one comes", body == b"body 1", body)
etag = headers["ETag"].strip('"')
check("abandoning it: 204", device("POST", f"{bound}/{etag}/abandon", token, b"")[0] == 204)
code, headers, body = device("GET", bound, token)
check("it comes again, and says so", body == b"body 1" and headers["iothub-deliverycount"] == "2", headers)
check("rejecting it: 204", device("DELETE", bound + "/" + headers["ETag"].strip('"') + "?reject", token)[0] == 204)
states = {row["message_id"]: row["state"] for row in api("GET", "/v1/devices/https-1/messages")["messages"]}
check("the sender sees what became of them", states == {"m0": "completed", "m1": "rejected", "m2": "queued"}, states)

# The key of a module, as the classic agents ask for it: signed for the bare host with the device's key.
path = "/devices/https-1/modules/azureiotsecurity?api-version=2018-06-30"
code, _, body = device("GET", path, sas(HUB, key))
check("a device reads its module's key",
      code == 200 and json.loads(body)["authentication"]["symmetricKey"]["primaryKey"] == module["primary_key"], body)
check("a module that is not there: 404", device("GET", path.replace("security", "nothing"), sas(HUB, key))[0] == 404)
check("another key: 401", device("GET", path, sas(HUB, module["primary_key"]))[0] == 401)
audit = [row["target"] for row in api("GET", "/v1/audit?action=module.key")["audit"]]
check("it is in the audit", audit == ["https-1/azureiotsecurity"], audit)

# Enrolment over HTTPS.
group = api("POST", "/v1/groups", {"name": "https-line"})
scope, derived = group["id_scope"], api("POST", "/v1/groups/https-line/derive-key", {"registration_id": "https-7"})["key"]
mine = base64.b64encode(hmac.new(base64.b64decode(group["primary_key"]), b"https-7", hashlib.sha256).digest()).decode()
check("the derived key is what a device derives itself", derived == mine)
here, token = f"/{scope}/registrations/https-7", sas(f"{scope}/registrations/https-7", derived, "registration")
code, headers, body = device("PUT", here + "/register?api-version=2019-03-31", token, b'{"registrationId":"https-7"}',
                             Content_Type="application/json")
started = json.loads(body)
check("registering: 202 with an operation", code == 202 and started["status"] == "assigning" and headers["Retry-After"], body)
code, _, body = device("GET", f"{here}/operations/{started['operationId']}?api-version=2019-03-31", token)
state = json.loads(body).get("registrationState", {})
check("polling: 200 and assigned",
      code == 200 and state["status"] == "assigned" and state["deviceId"] == "https-7" and state["assignedHub"], body)
plain = subprocess.run(["curl", "-sS", "--cacert", CA, "-X", "PUT", "-H", "Authorization: " + token, "-H",
                        "Content-Type: application/json", "-d", '{"registrationId":"https-7"}',
                        f"{DEVICES}{here}/register?api-version=2021-06-01"], capture_output=True, text=True, timeout=WAIT)
check("registering with plain curl", json.loads(plain.stdout).get("status") == "assigning", plain)
classic = sas(f"{scope}/registrations/https-7", derived, "")
code, _, body = device("POST", here + "?api-version=2019-03-31", classic, b'{"registrationId" : "https-7"}\0')
check("the classic agent's question, with its NUL: 200", code == 200 and json.loads(body)["status"] == "assigned", body)
check("an operation that is not there: 404", device("GET", f"{here}/operations/5.x?api-version=1", token)[0] == 404)
check("another scope: 401", device("PUT", "/0neNOWHERE/registrations/https-7/register", token, b"{}")[0] == 401)
check("an expired token: 401", device("PUT", here + "/register", sas(f"{scope}/registrations/https-7", derived, age=-3600),
                                      b"{}")[0] == 401)
own = sas(f"{HUB}/devices/https-7", derived)
check("the device may send", when_known("/devices/https-7/messages/devicebound", own)[0] == 204)
code, _, body = device("POST", "/devices/https-7/messages/events?api-version=1", own, b'{"a":1}\0', Content_Type="application/json")
check("a NUL behind JSON is refused everywhere else", code == 400, body)

# Batches.
batch = [{"body": base64.b64encode(b'{"n":1}').decode(), "properties": {"iothub-messageid": "b1", "colour": "red"}},
         {"body": '{"n":2}', "base64Encoded": False, "properties": {"iothub-contenttype": "application/json"}},
         {"body": "not json", "base64Encoded": False, "properties": {"iothub-contenttype": "application/json"}}]
events = "/devices/https-7/messages/events?api-version=2016-11-14"
batch_type = "application/vnd.microsoft.iothub.json"
code, headers, body = device("POST", events, own, json.dumps(batch).encode(), Content_Type=batch_type)
check("a batch: 204 when all its messages are durable", code == 204 and headers["Picket-Receipt"], (code, headers, body))
pause = threading.Event()
for _ in range(100):
    stored = [event["details"] for event in api("GET", "/v1/events?device=https-7&type=Custom")["events"]]
    dead = [row["reason"] for row in api("GET", "/v1/dead-letters?device=https-7")["dead_letters"]]
    if len(stored) == 2 and len(dead) == 1:
        break
    pause.wait(0.1)
check("each is a message of its own", sorted(event["n"] for event in stored) == [1, 2], stored)
check("what is no JSON is a dead letter", len(dead) == 1, dead)
code, _, body = device("POST", events, own, b'[{"body":1}]', Content_Type=batch_type)
check("what is no batch: 400 with a place", code == 400 and "column" in json.loads(body)["error"], body)
check("an empty batch: 204", device("POST", events, own, b"[]", Content_Type=batch_type)[0] == 204)

# Two that share a credential.
def from_address(address):
    connection = http.client.HTTPSConnection(HUB, urllib.parse.urlsplit(DEVICES).port, context=context, timeout=WAIT,
                                             source_address=(address, 0))
    connection.request("POST", events, body=b"{}", headers={"Authorization": own})
    code = connection.getresponse().status
    connection.close()
    return code


check("an identity may come from anywhere", {from_address(f"127.0.0.{2 + i % 2}") for i in range(8)} == {204})
for _ in range(300):
    cloned = [event["details"] for event in api("GET", "/v1/events?device=https-7&name=ClonedIdentity")["events"]]
    if cloned:
        break
    pause.wait(0.1)
check("and is told to be cloned when it goes back and forth",
      cloned and {cloned[0]["RemoteAddress"], cloned[0]["OtherAddress"]} == {"127.0.0.2", "127.0.0.3"}, cloned)

api("POST", "/v1/devices/https-7/disable")
code, _, body = device("PUT", here + "/register", token, b"{}")
check("a device that an operator disabled stays so", code == 400, (code, body))
print("all checks hold")
