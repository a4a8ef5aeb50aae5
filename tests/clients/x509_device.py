"""Devices that show certificates, by Microsoft's own SDK and over HTTPS: `x509_device.py HOST HTTPS-PORT CA TOKEN API FOLDER`.

The devices were enrolled by who made FOLDER: x-1 and its module sec on the word of an authority, t-1 by the thumbprint of a
certificate of its own; `NAME.pem` and `NAME.key` each, and `crl.pem`, by which the authority takes back those of x-1 and n-1.
n-1 may register through the group `line` of that authority, s-1 by the thumbprint of its own certificate."""
import http.client
import json
import ssl
import sys
import threading
import urllib.request

from azure.iot.device import X509, IoTHubDeviceClient, IoTHubModuleClient, ProvisioningDeviceClient

HOST, PORT, CA, TOKEN, API, FOLDER = sys.argv[1:7]
WAIT = 20
context = ssl.create_default_context(cafile=CA)
ca_text = open(CA, encoding="ascii").read()


def api(method, path, body=None):
    request = urllib.request.Request(API + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, context=context, timeout=WAIT) as answer:
        return json.loads(answer.read())


def check(name, holds, found=None):
    print(("ok   " if holds else "FAIL ") + name, flush=True)
    if not holds:
        print("     found:", found, flush=True)
        sys.exit(1)


def until(name, ask, holds):
    pause = threading.Event()
    for _ in range(WAIT * 10):
        found = ask()
        if holds(found):
            return check(name, True)
        pause.wait(0.1)
    check(name, False, found)


def client_of(identity, certificate):
    device, _, module = identity.partition("/")
    shown = X509(cert_file=f"{FOLDER}/{certificate}.pem", key_file=f"{FOLDER}/{certificate}.key")
    options = {"server_verification_cert": ca_text, "connection_retry": False}
    if module:
        return IoTHubModuleClient.create_from_x509_certificate(x509=shown, hostname=HOST, device_id=device, module_id=module,
                                                               **options)
    return IoTHubDeviceClient.create_from_x509_certificate(x509=shown, hostname=HOST, device_id=device, **options)


def refused(identity, certificate):
    client = client_of(identity, certificate)
    try:
        client.connect()
        return False
    except Exception:
        return True
    finally:
        client.shutdown()


def https_post(path, certificate):
    with_certificate = ssl.create_default_context(cafile=CA)
    with_certificate.load_cert_chain(f"{FOLDER}/{certificate}.pem", f"{FOLDER}/{certificate}.key")
    connection = http.client.HTTPSConnection(HOST, int(PORT), context=with_certificate, timeout=WAIT)
    connection.request("POST", path + "/messages/events?api-version=2020-03-13", body='{"over":"https"}')
    code = connection.getresponse().status
    connection.close()
    return code


def speaks(identity, certificate):
    client = client_of(identity, certificate)
    until(f"{identity}: connects by certificate", lambda: client.connected or attempt(client), bool)
    client.send_message(json.dumps({"from": identity}))
    until(f"{identity}: telemetry is stored", lambda: api("GET", f"/v1/events?device={identity}")["events"],
          lambda events: {"from": identity} in [event["details"] for event in events])
    check(f"{identity}: reads its twin", "$version" in client.get_twin()["desired"])
    return client


def attempt(client):
    """Refused until the server has heard of the device and of the authority."""
    try:
        client.connect()
    except Exception:
        pass
    return client.connected


def register(registration_id, certificate):
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        provisioning_host=HOST, registration_id=registration_id, id_scope=id_scope, server_verification_cert=ca_text,
        x509=X509(cert_file=f"{FOLDER}/{certificate}.pem", key_file=f"{FOLDER}/{certificate}.key"))
    try:
        state = client.register().registration_state
        return state.device_id if state.assigned_hub else None
    except Exception:
        return None


def https_register(registration_id, certificate):
    shown = ssl.create_default_context(cafile=CA)
    shown.load_cert_chain(f"{FOLDER}/{certificate}.pem", f"{FOLDER}/{certificate}.key")
    connection = http.client.HTTPSConnection(HOST, int(PORT), context=shown, timeout=WAIT)
    connection.request("PUT", f"/{id_scope}/registrations/{registration_id}/register?api-version=2021-06-01",
                       body=json.dumps({"registrationId": registration_id}), headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    operation = json.loads(answer.read()).get("operationId")
    if answer.status != 202:
        connection.close()
        return answer.status
    connection.request("GET", f"/{id_scope}/registrations/{registration_id}/operations/{operation}?api-version=2021-06-01")
    state = json.loads(connection.getresponse().read())["registrationState"]
    connection.close()
    return state["status"], state["deviceId"]


id_scope = api("GET", "/v1/groups/line")["id_scope"]
until("a certificate of the group's authority is assigned a device", lambda: register("n-1", "n-1"), lambda id: id == "n-1")
check("one that was enrolled by its thumbprint is assigned its own", register("s-1", "s-1") == "single-1")
check("nobody registers with another's certificate, or with none that was enrolled",
      (register("n-2", "n-1"), register("s-1", "n-1"), register("whatever", "t-1")) == (None, None, None))
check("the same over HTTPS", (https_register("n-1", "n-1"), https_register("s-1", "s-1"), https_register("n-1", "s-1"))
      == (("assigned", "n-1"), ("assigned", "single-1"), 401))
check("the device begins with what its group gives", api("GET", "/v1/devices/n-1")["modules"] == ["azureiotsecurity"]
      and api("GET", "/v1/devices/n-1/twin")["tags"] == {"group": "line"})
speaks("n-1", "n-1").shutdown()
speaks("single-1", "s-1").shutdown()
api("POST", "/v1/groups/line/disable")
check("a disabled group is refused", register("n-1", "n-1") is None)
api("POST", "/v1/groups/line/enable")
check("an enabled one is not", register("n-1", "n-1") == "n-1")

by_authority, module, by_thumbprint = speaks("x-1", "x-1"), speaks("x-1/sec", "sec"), speaks("t-1", "t-1")
check("a certificate is for its own identity",
      refused("x-1", "sec") and refused("x-1/sec", "x-1") and refused("t-1", "x-1") and refused("x-1", "t-1"))
check("the same certificates are taken over HTTPS",
      (https_post("/devices/x-1", "x-1"), https_post("/devices/x-1/modules/sec", "sec"), https_post("/devices/t-1", "t-1"))
      == (204, 204, 204))
check("and no others", https_post("/devices/x-1", "t-1") == 401)
ended = threading.Event()
by_authority.on_connection_state_change = lambda: by_authority.connected or ended.set()
with open(f"{FOLDER}/crl.pem", encoding="ascii") as crl:
    api("PUT", "/v1/authorities/plant/crl", {"crl": crl.read()})
check("a revoked certificate ends its connection", ended.wait(WAIT))
check("nor does a revoked one register", register("n-1", "n-1") is None)
check("and opens no other", refused("x-1", "x-1") and https_post("/devices/x-1", "x-1") == 401)
module.send_message("{}")
by_thumbprint.send_message("{}")
check("the others stay", module.connected and by_thumbprint.connected)
for client in by_authority, module, by_thumbprint:
    client.shutdown()
print("all checks hold")
