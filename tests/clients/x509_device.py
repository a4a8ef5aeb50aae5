"""Devices that show certificates, by Microsoft's own SDK and over HTTPS: `x509_device.py HOST HTTPS-PORT CA TOKEN API FOLDER`.

The devices were enrolled by who made FOLDER: x-1 and its module sec on the word of an authority, t-1 by the thumbprint of a
certificate of its own; `NAME.pem` and `NAME.key` each, and `crl.pem`, by which the authority takes back that of x-1."""
import http.client
import json
import ssl
import sys
import threading
import urllib.request

from azure.iot.device import X509, IoTHubDeviceClient, IoTHubModuleClient

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
check("and opens no other", refused("x-1", "x-1") and https_post("/devices/x-1", "x-1") == 401)
module.send_message("{}")
by_thumbprint.send_message("{}")
check("the others stay", module.connected and by_thumbprint.connected)
for client in by_authority, module, by_thumbprint:
    client.shutdown()
print("all checks hold")
