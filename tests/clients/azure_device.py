"""Microsoft's own device SDK, unmodified, against a running Picket: `azure_device.py HOST HTTPS-PORT CA TOKEN API`.

The SDK has no way to name a port: HOST has to serve MQTT on 8883. For WebSocket it goes to 443, which is led to HTTPS-PORT here,
where that may be opened.

Each check prints its name when it holds; the first that does not ends the program with 1."""
import json
import socket
import sys
import threading
import urllib.request
import ssl

from azure.iot.device import (IoTHubDeviceClient, IoTHubModuleClient, Message, MethodResponse,
                              ProvisioningDeviceClient)

HOST, HTTPS_PORT, CA, TOKEN, API = sys.argv[1:6]
WAIT = 20
context = ssl.create_default_context(cafile=CA)
ca_text = open(CA, encoding="ascii").read()


def api(method, path, body=None):
    request = urllib.request.Request(API + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, context=context, timeout=WAIT) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def check(name, holds, found=None):
    print(("ok   " if holds else "FAIL ") + name, flush=True)
    if not holds:
        print("     found:", found, flush=True)
        sys.exit(1)


def until(name, ask, holds):
    """Asks again until it holds: rows come a moment after their acknowledgement."""
    pause = threading.Event()
    for _ in range(WAIT * 10):
        found = ask()
        if holds(found):
            return check(name, True)
        pause.wait(0.1)
    check(name, False, found)


class Heard:
    """What a callback was given, for a thread that waits for it."""

    def __init__(self):
        self.items, self.condition = [], threading.Condition()

    def __call__(self, item):
        with self.condition:
            self.items.append(item)
            self.condition.notify_all()

    def next(self):
        with self.condition:
            if not self.condition.wait_for(lambda: self.items, WAIT):
                return None
            return self.items.pop(0)


def connection_string(identity, key):
    device, _, module = identity.partition("/")
    return f"HostName={HOST};DeviceId={device};" + (f"ModuleId={module};" if module else "") + f"SharedAccessKey={key}"


def device(websockets):
    name = "sdk-ws" if websockets else "sdk-tcp"
    made = api("POST", "/v1/devices", {"id": name})
    client = IoTHubDeviceClient.create_from_connection_string(
        connection_string(name, made["primary_key"]), server_verification_cert=ca_text, websockets=websockets)
    messages, methods, patches = Heard(), Heard(), Heard()
    connect(client)
    check(f"{name}: connects by key", client.connected)

    message = Message(json.dumps({"hello": name}))
    message.content_type, message.content_encoding = "application/json", "utf-8"
    message.message_id, message.custom_properties["a key"] = f"id of {name}", "a value & more"
    client.send_message(message)
    until(f"{name}: telemetry is stored", lambda: api("GET", f"/v1/events?device={name}")["events"],
          lambda events: [event["details"] for event in events] == [{"hello": name}])

    twin = client.get_twin()
    check(f"{name}: reads an empty twin", twin == {"desired": {"$version": 1}, "reported": {"$version": 1}}, twin)
    client.patch_twin_reported_properties({"battery": {"percent": 80, "low": False}, "gone": None})
    twin = api("GET", f"/v1/devices/{name}/twin")
    check(f"{name}: reports properties", twin["properties"]["reported"] == {"battery": {"percent": 80, "low": False}}, twin)

    client.on_twin_desired_properties_patch_received = patches
    api("PATCH", f"/v1/devices/{name}/twin", {"properties": {"desired": {"interval": 5, "log": {"level": "info"}}}})
    patch = patches.next()
    check(f"{name}: hears of desired properties",
          patch == {"interval": 5, "log": {"level": "info"}, "$version": 2}, patch)
    api("PATCH", f"/v1/devices/{name}/twin", {"properties": {"desired": {"interval": None, "log": {"level": "debug"}}}})
    patch = patches.next()
    check(f"{name}: hears what went and what changed",
          patch is not None and patch["$version"] == 3 and patch["interval"] is None
          and patch["log"] == {"level": "debug"}, patch)
    twin = client.get_twin()
    check(f"{name}: reads its twin", twin["desired"] == {"log": {"level": "debug"}, "$version": 3}, twin)

    def answer(request):
        methods(request)
        client.send_method_response(MethodResponse.create_from_method_request(request, 207, {"done": request.payload}))

    client.on_method_request_received = answer
    called = api("POST", f"/v1/devices/{name}/methods/reboot", {"payload": {"delay": 3}})
    check(f"{name}: answers a direct method", called == {"status": 207, "payload": {"done": {"delay": 3}}}, called)
    request = methods.next()
    check(f"{name}: was asked by name", request.name == "reboot" and request.payload == {"delay": 3}, request)

    client.on_message_received = messages
    api("POST", f"/v1/devices/{name}/messages",
        {"body": "up & down?", "message_id": "m 1", "properties": {"colour": "green/blue", "n": "1"}})
    message = messages.next()
    check(f"{name}: receives a message from the cloud",
          message is not None and message.data == b"up & down?" and message.message_id == "m 1"
          and message.custom_properties == {"colour": "green/blue", "n": "1"}, message and vars(message))
    until(f"{name}: the message is settled", lambda: api("GET", f"/v1/devices/{name}/messages")["messages"],
          lambda rows: [row["state"] for row in rows] == ["completed"])

    shown = api("GET", f"/v1/devices/{name}")["connection"]
    check(f"{name}: is shown as connected", shown["connected"] and shown["transport"].startswith("mqtt"), shown)
    client.shutdown()
    until(f"{name}: is shown as gone", lambda: api("GET", f"/v1/devices/{name}")["connection"],
          lambda connection: not connection["connected"])


def connect(client):
    """A server that has not heard of the device yet refuses it: the list of devices is read anew within a second."""
    pause = threading.Event()
    for attempt in range(50):
        try:
            return client.connect()
        except Exception as refused:
            if attempt == 49:
                check("connects", False, refused)
            pause.wait(0.2)


def module():
    made = api("POST", "/v1/devices", {"id": "sdk-tcp/DefenderIotMicroAgent"})
    client = IoTHubModuleClient.create_from_connection_string(
        connection_string(made["id"], made["primary_key"]), server_verification_cert=ca_text)
    patches = Heard()
    connect(client)
    message = Message(json.dumps({"from": "module"}))
    message.content_type, message.content_encoding = "application/json", "utf-8"
    client.send_message(message)
    until("module: telemetry is stored under the module",
          lambda: api("GET", "/v1/events?device=sdk-tcp/DefenderIotMicroAgent")["events"],
          lambda events: [event["module"] for event in events] == ["DefenderIotMicroAgent"])
    client.on_twin_desired_properties_patch_received = patches
    client.get_twin()
    api("PATCH", "/v1/devices/sdk-tcp/twin", {"tags": {"group": "gateways"}})
    api("PUT", "/v1/configurations/quiet", {"module": "DefenderIotMicroAgent", "group": "gateways",
                                            "desired": {"Process_Disabled": True}})
    patch = patches.next()
    check("module: hears what its group is to have",
          patch is not None and patch["Process_Disabled"] is True, patch)
    client.patch_twin_reported_properties({"latest_state": "success", "latest_invalid_fields": []})
    until("module: has applied the configuration", lambda: api("GET", "/v1/configurations/quiet/devices")["devices"],
          lambda rows: [row["state"] for row in rows] == ["applied"])

    client.on_method_request_received = lambda request: client.send_method_response(
        MethodResponse.create_from_method_request(request, 200, None))
    called = api("POST", "/v1/devices/sdk-tcp/modules/DefenderIotMicroAgent/methods/ping", {})
    check("module: answers a direct method", called["status"] == 200, called)
    client.shutdown()


def enrolment(websockets=False):
    factory, line = ("factory-ws", "line-8") if websockets else ("factory", "line-7")
    group = api("POST", "/v1/groups", {"name": factory, "tags": {"group": factory}, "desired": {"speed": 3},
                                       "modules": ["azureiotsecurity"]})
    derived = api("POST", f"/v1/groups/{factory}/derive-key", {"registration_id": line})

    def register(key):
        client = ProvisioningDeviceClient.create_from_symmetric_key(
            provisioning_host=HOST, registration_id=line, id_scope=group["id_scope"], symmetric_key=key,
            server_verification_cert=ca_text, websockets=websockets)
        return client.register()

    result = register(derived["key"])
    state = result.registration_state
    check("enrolment: a derived key is assigned a device",
          result.status == "assigned" and state.device_id == line and state.assigned_hub, vars(result))
    twin = api("GET", f"/v1/devices/{line}/twin")
    check("enrolment: the device begins with the group's tags and properties",
          twin["tags"] == {"group": factory} and twin["own_desired"] == {"speed": 3}, twin)
    check("enrolment: its module is there", api("GET", f"/v1/devices/{line}")["modules"] == ["azureiotsecurity"])
    client = IoTHubDeviceClient.create_from_symmetric_key(derived["key"], HOST, line, server_verification_cert=ca_text)
    connect(client)
    twin = client.get_twin()
    check("enrolment: the device connects with the same key", twin["desired"]["speed"] == 3, twin)
    client.shutdown()
    check("enrolment: who registers again keeps the device", register(derived["key"]).status == "assigned")
    try:
        register("c29tZSBvdGhlciBrZXksIG5vdCBkZXJpdmVkIGF0IGFsbA==")
        check("enrolment: another key is refused", False)
    except Exception as refused:
        check("enrolment: another key is refused", True, refused)
    api("POST", f"/v1/groups/{factory}/disable")
    try:
        register(derived["key"])
        check("enrolment: a disabled group is refused", False)
    except Exception as refused:
        check("enrolment: a disabled group is refused", True, refused)


def pipe(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def lead(server):
    """Each connection to 443 on to the HTTPS port, byte for byte, as a balancer does."""
    while True:
        near, _ = server.accept()
        far = socket.create_connection((HOST, int(HTTPS_PORT)))
        for ends in (near, far), (far, near):
            threading.Thread(target=pipe, args=ends, daemon=True).start()


def port_443():
    try:
        server = socket.create_server((HOST, 443))
    except OSError as refused:
        print(f"skip WebSocket: port 443 cannot be opened: {refused}", flush=True)
        return False
    threading.Thread(target=lead, args=(server,), daemon=True).start()
    return True


device(websockets=False)
module()
enrolment()
if port_443():
    device(websockets=True)
    enrolment(websockets=True)
print("all checks hold")
