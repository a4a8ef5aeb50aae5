"""The MQTT client library of Eclipse, and mosquitto's programs, against a running Picket:
`paho_device.py MQTTS_PORT HTTPS_PORT CA TOKEN API`.

Each check prints its name when it holds; the first that does not ends the program with 1."""
import base64
import hashlib
import hmac
import json
import re
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

MQTTS, HTTPS, CA, TOKEN, API = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:6]
WAIT = 20
context = ssl.create_default_context(cafile=CA)


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
    pause = threading.Event()
    for _ in range(WAIT * 10):
        found = ask()
        if holds(found):
            return check(name, True)
        pause.wait(0.1)
    check(name, False, found)


def sas(resource, key, age=3600):
    resource = urllib.parse.quote(resource, safe="")
    expiry = int(time.time()) + age
    signature = hmac.new(base64.b64decode(key), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote(base64.b64encode(signature))}&se={expiry}"


class Device:
    """One connection whose callbacks can be waited for."""

    def __init__(self, name, key, version=mqtt.MQTTv5, websockets=False, password=None, user=None, client_id=None, clean=True):
        self.heard, self.condition = [], threading.Condition()
        kind = {} if version == mqtt.MQTTv5 else {"clean_session": clean}
        self.client = mqtt.Client(client_id or name, protocol=version, transport="websockets" if websockets else "tcp", **kind)
        self.client.username_pw_set(user or f"localhost/{name}/?api-version=2021-04-12",
                                    password or sas(f"localhost/devices/{name}", key))
        self.client.tls_set(CA)
        self.client.ws_set_options(path="/$iothub/websocket")
        self.client.on_connect = lambda c, u, flags, code, *p: self.hear("connect", int(getattr(code, "value", code)), flags)
        self.client.on_disconnect = lambda c, u, code, *p: self.hear("disconnect", int(getattr(code, "value", code)))
        self.client.on_message = lambda c, u, message: self.hear("message", message.topic, message.payload, message.qos)
        self.client.on_publish = lambda c, u, mid: self.hear("publish", mid)
        self.client.on_subscribe = lambda c, u, mid, codes, *p: self.hear("subscribe", [int(getattr(code, "value", code))
                                                                                        for code in codes])
        self.client.on_log = lambda c, u, level, text: self.hear("log", text)
        self.port = HTTPS if websockets else MQTTS

    def hear(self, *what):
        with self.condition:
            self.heard.append(what)
            self.condition.notify_all()

    def wait(self, kind):
        def first():
            return next((what for what in self.heard if what[0] == kind), None)

        with self.condition:
            if not self.condition.wait_for(first, WAIT):
                return None
            what = first()
            self.heard.remove(what)
            return what

    def connect(self):
        self.client.connect("localhost", self.port, keepalive=30)
        self.client.loop_start()
        return self.wait("connect")

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def known(name, key):
    """The list of devices is read anew within a second."""
    pause = threading.Event()
    for _ in range(100):
        device = Device(name, key)
        code = device.connect()[1]
        device.close()
        if code == 0:
            return
        pause.wait(0.1)


made = api("POST", "/v1/devices", {"id": "paho-1"})
key = made["primary_key"]
known("paho-1", key)
events = "devices/paho-1/messages/events/"

for version, websockets in ((mqtt.MQTTv311, False), (mqtt.MQTTv5, False), (mqtt.MQTTv311, True), (mqtt.MQTTv5, True)):
    name = ("5.0" if version == mqtt.MQTTv5 else "3.1.1") + (" over WebSocket" if websockets else "")
    device = Device("paho-1", key, version, websockets)
    check(f"{name}: connects", device.connect()[1] == 0)
    device.client.subscribe([(f"devices/paho-1/messages/devicebound/#", 2), ("devices/other/messages/devicebound/#", 1)])
    refused = 0x87 if version == mqtt.MQTTv5 else 0x80
    check(f"{name}: subscribes to its own, at QoS 1 at most", device.wait("subscribe")[1] == [1, refused])
    word = name.replace(" ", "-")
    device.client.publish(events + "%24.ct=application%2Fjson&shade=dark%20red", json.dumps({"word": word}), qos=1)
    check(f"{name}: QoS 1 is acknowledged", device.wait("publish"))
    device.client.publish(events, json.dumps({"word": word + "-0"}), qos=0)
    until(f"{name}: both are stored", lambda: [e["details"]["word"] for e in api("GET", "/v1/events?device=paho-1")["events"]],
          lambda words: words.count(word) == 1 and words.count(word + "-0") == 1)
    api("POST", "/v1/devices/paho-1/messages", {"body": "hello " + word})
    message = device.wait("message")
    check(f"{name}: receives from the cloud at QoS 1", message and message[2] == b"hello " + word.encode() and message[3] == 1,
          message)
    big = json.dumps({"word": word + "-big", "pad": "x" * 200000})
    device.client.publish(events, big, qos=1)
    check(f"{name}: 200 KB are acknowledged", device.wait("publish"))
    device.close()

# Many in flight come back in the order in which they were sent.
device = Device("paho-1", key)
device.client.max_inflight_messages_set(50)
device.connect()
sent = [device.client.publish(events, json.dumps({"n": n}), qos=1).mid for n in range(300)]
acknowledged = [device.wait("publish")[1] for _ in sent]
check("5.0: 300 messages are acknowledged in their order", acknowledged == sent, acknowledged)
device.close()

# A receipt on the acknowledgement, where the protocol has room for it: paho shows it in its packets only.
device = Device("paho-1", key)
packets = []
handle = device.client._handle_pubackcomp


def look(command):
    packets.append(bytes(device.client._in_packet["packet"]))
    return handle(command)


device.client._handle_pubackcomp = look
device.connect()
device.client.publish(events, "{}", qos=1)
device.wait("publish")
check("5.0: the acknowledgement bears a receipt", b"receipt" in packets[0] and b"direct/" in packets[0], packets)
packets.clear()
device.client.publish(events + "%24.ct=application%2Fjson", "not json", qos=1)
device.wait("publish")
check("5.0: what is no JSON is refused by PUBACK", packets[0][2] == 0x99, packets)
device.close()

# The same on 3.1.1 is acknowledged, and a dead letter.
device = Device("paho-1", key, mqtt.MQTTv311)
device.connect()
device.client.publish(events + "%24.ct=application%2Fjson", "not json either", qos=1)
check("3.1.1: what is no JSON is acknowledged", device.wait("publish"))
until("3.1.1: and is a dead letter", lambda: api("GET", "/v1/dead-letters?device=paho-1")["dead_letters"],
      lambda rows: len(rows) == 1)
device.client.publish(events, json.dumps({"word": "kept"}), qos=1, retain=True)
check("a retained message is taken", device.wait("publish"))
device.close()

# Refusals.
for name, keywords, codes in (
        ("another key", {"password": sas("localhost/devices/paho-1", made["secondary_key"][::-1].strip("=") + "=")}, (5, 0x87)),
        ("an expired token", {"password": sas("localhost/devices/paho-1", key, age=-3600)}, (5, 0x87)),
        ("a token for another device", {"password": sas("localhost/devices/paho-2", key)}, (5, 0x87)),
        ("a token for another host", {"password": sas("elsewhere/devices/paho-1", key)}, (5, 0x87)),
        ("an unknown device", {"user": "localhost/nobody/?api-version=1", "client_id": "nobody"}, (5, 0x87)),
        ("a client id that is not the user name's", {"client_id": "somebody"}, (2, 0x85))):
    for version, code in zip((mqtt.MQTTv311, mqtt.MQTTv5), codes):
        try:
            device = Device("paho-1", key, version, **keywords)
        except ValueError:
            continue
        found = device.connect()
        check(f"{name}: refused with {code:#x}", found and found[1] == code, found)
        device.close()

device = Device("paho-1", key)
device.connect()
device.client.publish("devices/paho-2/messages/events/", "{}", qos=1)
check("5.0: a topic that is another's: DISCONNECT 0x87", device.wait("disconnect")[1] == 0x87)
device.client.loop_stop()
device = Device("paho-1", key)
device.connect()
device.client.publish(events, "{}", qos=2)
check("5.0: QoS 2: DISCONNECT 0x9b", device.wait("disconnect")[1] == 0x9B)
device.client.loop_stop()

# One connection per identity.
first, second = Device("paho-1", key), Device("paho-1", key)
first.client.reconnect_delay_set(600, 600)
first.connect()
check("a second connection is let in", second.connect()[1] == 0)
check("and the first is told why it goes", first.wait("disconnect")[1] == 0x8E)
first.client.loop_stop()
second.close()

# Subscriptions outlive a connection that asks for that.
device = Device("paho-1", key, mqtt.MQTTv311, clean=False)
check("no session was kept", device.connect()[2]["session present"] == 0)
device.client.subscribe("devices/paho-1/messages/devicebound/#", 1)
device.wait("subscribe")
device.close()
api("POST", "/v1/devices/paho-1/messages", {"body": "while away"})
device = Device("paho-1", key, mqtt.MQTTv311, clean=False)
check("the session is there", device.connect()[2]["session present"] == 1)
message = device.wait("message")
check("what came meanwhile arrives without another SUBSCRIBE", message and message[2] == b"while away", message)
device.close()

# A will is a message of the device when it goes without a word.
device = Device("paho-1", key)
device.client.will_set(events + "why=gone", json.dumps({"word": "my will"}), qos=1)
device.connect()
device.client._sock_close()
device.client.loop_stop()
until("a will is stored", lambda: [e["details"].get("word") for e in api("GET", "/v1/events?device=paho-1")["events"]],
      lambda words: "my will" in words)

# Revocation: within seconds, also of who is connected.
device = Device("paho-1", key)
device.connect()
started = time.monotonic()
api("POST", "/v1/devices/paho-1/rotate-key", {"key": "secondary"})
api("POST", "/v1/devices/paho-1/rotate-key", {"key": "primary"})
check("when its key goes, so does the connection", device.wait("disconnect")[1] == 0x87)
check("within five seconds", time.monotonic() - started < 5)
device.client.loop_stop()

# mosquitto's own programs.
made = api("POST", "/v1/devices", {"id": "mosquitto-1"})
known("mosquitto-1", made["primary_key"])
common = ["-h", "localhost", "-p", str(MQTTS), "--cafile", CA, "-i", "mosquitto-1", "-q", "1",
          "-u", "localhost/mosquitto-1/?api-version=2021-04-12",
          "-P", sas("localhost/devices/mosquitto-1", made["primary_key"])]
for version in ("mqttv311", "mqttv5"):
    ran = subprocess.run(["mosquitto_pub", *common, "-V", version, "-t", "devices/mosquitto-1/messages/events/",
                          "-m", json.dumps({"by": version})], capture_output=True, timeout=WAIT, check=False)
    check(f"mosquitto_pub {version}", ran.returncode == 0, ran.stderr)
    until(f"{version}: its message is stored",
          lambda: [e["details"]["by"] for e in api("GET", "/v1/events?device=mosquitto-1")["events"]],
          lambda found: version in found)
    api("POST", "/v1/devices/mosquitto-1/messages", {"body": "for " + version})
    ran = subprocess.run(["mosquitto_sub", *common, "-V", version, "-C", "1", "-W", str(WAIT),
                          "-t", "devices/mosquitto-1/messages/devicebound/#"], capture_output=True, timeout=WAIT + 5, check=False)
    check(f"mosquitto_sub {version}", ran.stdout == b"for " + version.encode() + b"\n", (ran.stdout, ran.stderr))
print("all checks hold")
